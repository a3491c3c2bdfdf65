"""Every network in every precision at the default configuration, on ONNX Runtime and OpenVINO, beside its naive export.

``python -m benchmarks compare_precisions``. The forms of a network take turns. Weights are random and ranges come from few
windows: neither changes what a call costs. *fp32 cpu* and *int8 cpu* are what ``--target cpu-opset23`` writes; the steps of
such an INT8 fit the window at hand. *floor* is the products of the float32 graph alone, weights' and attention's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.compare_networks import BUDGET_S, TOLERANCE_M, affordable, p50
from benchmarks.compile_graphs import WINDOWS, graphs_of
from benchmarks.floor import floor_call, openvino_floor_call, write_floor
from benchmarks.naive import export_naive, naive_call
from benchmarks.networks import NETWORKS, Row, deterministic, kept_or_temporary, made_on, metadata, notes, record_networks
from benchmarks.options import Graphs, Models, Page, Prepare, Results
from benchmarks.record import PAGE, RESULTS, grid, machine_slug
from poseedge.arrays import Float32Array, Float64Array
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.backends.openvino import OpenVINOLifter
from poseedge.bench.latency import Alternation, CacheEvictor, Candidate, pinned, summary_ms, time_alternating
from poseedge.bench.machine import busy, machine_facts
from poseedge.errors import PoseedgeError
from poseedge.export.recipe import load_recipe
from poseedge.fold import fold
from poseedge.graph.cpu_form import ATTENTION_OPSET, to_cpu_form, widened
from poseedge.graph.graph import Graph
from poseedge.graph.trace import NEWEST_TRACED, simplify, trace
from poseedge.int8.cpu_graph import for_cpu
from poseedge.int8.placement import place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from poseedge.int8.sensitivity import multiply_adds
from poseedge.int8.windows import load_calibration
from poseedge.lifter import random_keypoints
from poseedge.models.network import LiftingNetwork
from poseedge.resources import resource
from poseedge.targets.boards import MODERN

NAIVE, FLOOR = "naive", "floor"
DEFAULT = ("fp32", "fp16", "int8", "int8 steady")  # files of the default target
CPU = ("fp32 cpu", "int8 cpu")  # files of cpu-opset23
FILES = ("fp32", "fp32 cpu", "fp16", "int8", "int8 cpu", "int8 steady")
OPENVINO = {f"openvino {form}": form for form in ("fp32", "fp32 cpu", "int8")}
FLOORS: dict[str, Callable[[Path, int], Candidate]] = {FLOOR: floor_call, f"openvino {FLOOR}": openvino_floor_call}
FORMS = (*FILES, *OPENVINO, *FLOORS)
EXACT = [form for form in FORMS if "fp32" in form]
WEIGHED = ("fp32", "fp16", "int8")
INT8 = ("int8", "int8 cpu", "openvino int8")  # without what --steady costs
AIMS = {"FP32": (0.80, EXACT), "INT8": (0.50, INT8)}  # of the naive export's time, by the best of these forms
WARM_MS = 100.0  # a call that takes longer has emptied the caches itself


def compare(
    model: Models = None,
    form: Annotated[list[str] | None, typer.Option(help=f"only these (repeat) of {', '.join(FORMS)}")] = None,
    budget: Annotated[float, typer.Option(min=0, help="seconds of timing for each network")] = BUDGET_S,
    evicted: Annotated[bool, typer.Option(help="time also with 64 MB written before each call: twice the budget")] = False,
    graphs: Graphs = None,
    prepare: Prepare = False,
    results: Results = RESULTS,
    page: Page = PAGE,
) -> None:
    """Time the forms of each network and record the table of all that were measured on this machine."""
    if unknown := sorted(set(form or ()) - set(FORMS)):
        raise PoseedgeError(f"no such form: {', '.join(unknown)}", f"known: {', '.join(FORMS)}")
    with kept_or_temporary(graphs) as folder:
        for name in model or NETWORKS:
            write_graphs(deterministic(name), folder)
        if prepare:
            return
        machine = machine_facts()  # once: afterwards this program itself is the load

        def row(name: str) -> Row:
            return {**measure(deterministic(name), folder, budget, form or FORMS, evicted), "note": busy(machine)}

        path = results / f"precisions_{machine_slug(machine)}"
        record_networks(path, page, "precisions", model or NETWORKS, row, markdown, machine=machine)


def place_of(folder: Path, name: str, form: str) -> Path:
    """Return where a form of a network lies."""
    return folder / f"{name}_{form.replace(' ', '_')}.onnx"


def write_graphs(network: LiftingNetwork, folder: Path) -> None:
    """Write the forms of a network that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    windows = load_calibration(resource("calib_data", "mocap17-calib"), network.frames, WINDOWS, network.in_channels)
    for forms, write in (
        ((NAIVE,), write_naive),
        (DEFAULT, partial(write_default, windows)),
        (CPU, partial(write_cpu, windows)),
        ((FLOOR,), write_floor_of),
    ):
        if not all(place_of(folder, network.name, form).is_file() for form in forms):
            write(network, folder)
            print(f"{network.name}: {', '.join(forms)} made", flush=True)


def write_naive(network: LiftingNetwork, folder: Path) -> None:
    """Write the naive export."""
    export_naive(network, place_of(folder, network.name, NAIVE))


def write_default(windows: Float32Array, network: LiftingNetwork, folder: Path) -> None:
    """Write what the default target holds."""
    made = graphs_of(network, load_recipe(network.name), MODERN, windows, board=False)
    for form in DEFAULT:
        made[form].save(place_of(folder, network.name, form), metadata(network, form.partition(" ")[0], made[form]))


def write_cpu(windows: Float32Array, network: LiftingNetwork, folder: Path) -> None:
    """Write what ``--target cpu-opset23`` holds, in the order in which the export makes it."""
    recipe = load_recipe(network.name)
    exact, _ = simplify(trace(fold(network), network.frames, network.in_channels, NEWEST_TRACED, free_batch=False))
    to_cpu_form(exact, ATTENTION_OPSET)
    placement = place(exact, recipe.int8.keep)
    quantized = quantize(exact, placement, calibrate(exact, placement, windows, migrate=recipe.int8.migrate))
    for form, graph in zip(CPU, (widened(exact), quantized), strict=True):
        made = for_cpu(graph, exact.opset, dynamic=True)
        made.save(place_of(folder, network.name, form), metadata(network, form.partition(" ")[0], made))


def write_floor_of(network: LiftingNetwork, folder: Path) -> None:
    """Write the floor of the float32 graph."""
    write_floor(place_of(folder, network.name, "fp32"), place_of(folder, network.name, FLOOR))


def measure(network: LiftingNetwork, folder: Path, budget_s: float, forms: Collection[str] = FORMS, evicted: bool = False) -> Row:
    """Return latency and size of ``forms`` of ``network``, and how much of its Linear work is INT8. One thread, one window.

    Raises ``PoseedgeError`` if a float32 graph is not the naive one's equal.
    """
    with pinned(1):
        calls, off = callables(network, folder, forms)
        row: Row = {"latency_ms": timings(time_alternating(calls, affordable(calls, budget_s)))}
        if evicted and p50(row, NAIVE) <= WARM_MS:
            evict = CacheEvictor()
            spent = time_alternating(calls, affordable_evicted(row, budget_s, evict), evict)
            row["latency_evicted_ms"] = timings(spent)
    exact = Graph.load(place_of(folder, network.name, "fp32"))
    return row | {
        "file_bytes": {form: place_of(folder, network.name, form).stat().st_size for form in FILES},
        "max_difference_m": off,
        "int8_share": int8_share(exact, load_recipe(network.name).int8.keep),
    }


def callables(network: LiftingNetwork, folder: Path, forms: Collection[str]) -> tuple[dict[str, Candidate], float]:
    """Return a callable for the naive export and each of ``forms``, and how far float32's poses are from it at most, metres."""
    paths = {form: place_of(folder, network.name, form) for form in (NAIVE, *FILES, FLOOR)}
    lifters: dict[str, Callable[[Float32Array], Float32Array]] = {
        form: OnnxLifter(paths[form], 1) for form in FILES if form in forms
    }
    if find_spec("openvino"):
        lifters |= {name: OpenVINOLifter(paths[form], 1) for name, form in OPENVINO.items() if name in forms}
    keypoints = random_keypoints(OnnxLifter(paths["fp32"], 1).spec, 1)
    naive = naive_call(network, paths[NAIVE], keypoints, 1)
    expected, off = naive(), 0.0
    for form in set(EXACT) & lifters.keys():
        off = max(off, difference := float(np.abs(expected - lifters[form](keypoints)).max()))
        if not difference <= TOLERANCE_M:
            raise PoseedgeError(
                f"{network.name}: {form} and the naive form differ by {difference:.1e} m, {TOLERANCE_M:.0e} are allowed"
            )
    calls: dict[str, Candidate] = {NAIVE: naive}
    calls |= {form: partial(lift, keypoints) for form, lift in lifters.items()}
    usable = [form for form in FLOORS if form in forms and (form == FLOOR or find_spec("openvino"))]
    return calls | {form: FLOORS[form](paths[FLOOR], 1) for form in usable}, off


def timings(spent: dict[str, Float64Array]) -> dict[str, Any]:
    """Return the summary of each form's calls, as JSON holds it."""
    return {form: summary_ms(times).model_dump() for form, times in spent.items()}


def affordable_evicted(row: Row, budget_s: float, evict: Candidate) -> Alternation:
    """Return the blocks that fit into ``budget_s`` if ``evict`` runs before each of the calls that ``row`` tells of."""
    usual = Alternation(rounds=1, settle=0)  # nothing settles in caches that are emptied
    evict_s = float(time_alternating({"evict": evict}, Alternation(rounds=1, settle=1, calls=1))["evict"][0])
    once_s = sum(p50(row, form) / 1e3 + evict_s for form in row["latency_ms"])
    return Alternation(max(int(budget_s / (once_s * usual.calls)), 1), usual.settle)


def int8_share(graph: Graph, keep: list[str]) -> float:
    """Return the share of the Linear layers' multiply-adds that level A does in INT8."""
    macs = multiply_adds(graph)
    return sum(macs[name] for name in place(graph, keep).layers) / sum(macs.values())


def markdown(rows: dict[str, Row]) -> str:
    """Return the rows as readable tables."""
    lines = ["# Precisions on a CPU", "", *made_on(rows), *notes(rows), ""]
    lines += [
        "One window, one thread. Naive: median ms; the others: their median as a share of it, below 1 is faster.",
        "cpu: as `--target cpu-opset23` writes it; all else has opset 17. Floor: the products of the float32 graph alone, of",
        "weights and of attention, each by itself; on OpenVINO with the cost of handing over the tensors of each, which small",
        "networks feel. Share: of the Linear multiply-adds, what INT8 does.",
        "",
    ]
    lines += grid(
        ["network", "naive ms", *FORMS, "share", *(f"{form} MB" for form in WEIGHED)],
        [
            [
                name,
                *latencies(row, "latency_ms"),
                f"{row['int8_share']:.2f}",
                *(f"{row['file_bytes'][form] / 1e6:.1f}" for form in WEIGHED),
            ]
            for name, row in rows.items()
        ],
    )
    evicted = {name: row for name, row in rows.items() if "latency_evicted_ms" in row}
    if evicted:
        lines += ["", "With 64 MB written before each call, as by a detector that runs in between:", ""]
        table = [[name, *latencies(row, "latency_evicted_ms")] for name, row in evicted.items()]
        lines += grid(["network", "naive ms", *FORMS], table)
    lines += ["", f"Aims, by the best form: {', '.join(f'{kind} {aim:.2f}' for kind, (aim, _) in AIMS.items())}.", ""]
    lines += grid(["network", *AIMS, "products alone"], [[name, *reached(row)] for name, row in rows.items()])
    return "\n".join(lines) + "\n"


def latencies(row: Row, key: str) -> list[str]:
    """Return the cells of a network's latencies."""
    spent = row[key]
    naive = spent[NAIVE]["p50"]
    return [f"{naive:.2f}", *(f"{spent[form]['p50'] / naive:.2f}" if form in spent else "-" for form in FORMS)]


def reached(row: Row) -> list[str]:
    """Return what the best form of each aim took of the naive export's time, and whether that meets it; last the floor."""
    cells = []
    for aim, forms in AIMS.values():
        ratio, form = best(row, forms)
        cells.append(f"{ratio:.2f} {form}, {'met' if ratio <= aim else 'missed'}" if form else "-")
    floor, runtime = best(row, FLOORS)
    return [*cells, f"{floor:.2f}" if runtime else "-"]


def best(row: Row, forms: Iterable[str]) -> tuple[float, str]:
    """Return the least of the naive export's time that one of ``forms`` took, as the table shows it, and which; or infinity."""
    found = [(round(p50(row, form) / p50(row, NAIVE), 2), form) for form in forms if form in row["latency_ms"]]
    return min(found, default=(math.inf, ""))


PROGRAM = compare
