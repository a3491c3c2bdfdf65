"""Every network in every precision at the default configuration, on ONNX Runtime and OpenVINO, beside its naive export.

``python -m benchmarks compare_precisions``. The forms of a network take turns. Weights are random and ranges come from few
windows: neither changes what a call costs. *int8 cpu* is what ``--target cpu-opset23`` writes of INT8: its steps fit the window
at hand.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.compare_networks import BUDGET_S, TOLERANCE_M, affordable, p50
from benchmarks.compile_graphs import WINDOWS, graphs_of
from benchmarks.naive import export_naive, naive_call
from benchmarks.networks import NETWORKS, deterministic, kept_or_temporary, metadata, record_networks
from benchmarks.record import PAGE, RESULTS, grid, machine_slug, versions
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.backends.openvino import OpenVINOLifter
from poseedge.bench.latency import Candidate, pinned, summary_ms, time_alternating
from poseedge.bench.machine import busy, machine_facts
from poseedge.errors import PoseedgeError
from poseedge.export.recipe import load_recipe
from poseedge.graph.cpu_form import ATTENTION_OPSET, widened
from poseedge.graph.graph import Graph
from poseedge.int8.cpu_graph import for_cpu
from poseedge.int8.placement import place
from poseedge.int8.sensitivity import multiply_adds
from poseedge.int8.windows import load_calibration
from poseedge.lifter import random_keypoints
from poseedge.models.network import LiftingNetwork
from poseedge.resources import resource
from poseedge.targets.boards import MODERN

NAIVE = "naive"
FILES = ("fp32", "fp16", "int8", "int8 cpu", "int8 steady")
OPENVINO = {f"openvino {form}": form for form in ("fp32", "int8")}
FORMS = (*FILES, *OPENVINO)


def compare(
    model: Annotated[list[str] | None, typer.Option(help="only these networks (repeat)")] = None,
    form: Annotated[list[str] | None, typer.Option(help=f"only these (repeat) of {', '.join(FORMS)}")] = None,
    budget: Annotated[float, typer.Option(min=0, help="seconds of timing for each network")] = BUDGET_S,
    graphs: Annotated[Path | None, typer.Option(help="folder of graphs that --prepare made; default: made anew")] = None,
    prepare: Annotated[bool, typer.Option(help="only make the graphs, in --graphs: that needs no idle machine")] = False,
    results: Annotated[Path, typer.Option(help="folder for the JSON file and the table")] = RESULTS,
    page: Annotated[Path, typer.Option(help="page of the documentation that shows the table")] = PAGE,
) -> None:
    """Time the forms of each network and record the table of all that were measured on this machine."""
    with kept_or_temporary(graphs) as folder:
        for name in model or NETWORKS:
            write_graphs(deterministic(name), folder)
        if prepare:
            return
        machine = machine_facts()  # once: afterwards this program itself is the load
        record_networks(
            results / f"precisions_{machine_slug(machine)}",
            page,
            "precisions",
            model or NETWORKS,
            lambda name: {**measure(deterministic(name), folder, budget, form or FORMS), "note": busy(machine)},
            partial(markdown, machine),
            machine=machine,
        )


def place_of(folder: Path, name: str, form: str) -> Path:
    """Return where a form of a network lies."""
    return folder / f"{name}_{form.replace(' ', '_')}.onnx"


def write_graphs(network: LiftingNetwork, folder: Path) -> None:
    """Write the forms of a network that are missing."""
    paths = {form: place_of(folder, network.name, form) for form in (NAIVE, *FILES)}
    if all(path.is_file() for path in paths.values()):
        return
    folder.mkdir(parents=True, exist_ok=True)
    export_naive(network, paths[NAIVE])
    windows = load_calibration(resource("calib_data", "mocap17-calib"), network.frames, WINDOWS, network.in_channels)
    made = graphs_of(network, load_recipe(network.name), MODERN, windows, widened)
    made["int8 cpu"] = for_cpu(made["int8"], ATTENTION_OPSET, dynamic=True)
    for form in FILES:
        made[form].save(paths[form], metadata(network, form.partition(" ")[0], made[form]))
    print(f"{network.name}: graphs are made", flush=True)


def measure(network: LiftingNetwork, folder: Path, budget_s: float, forms: Collection[str] = FORMS) -> dict[str, Any]:
    """Return latency and size of ``forms`` of ``network``, and how much of its Linear work is INT8. One thread, one window.

    Raises ``PoseedgeError`` if the float32 graph is not the naive one's equal.
    """
    paths = {form: place_of(folder, network.name, form) for form in (NAIVE, *FILES)}
    with pinned(1):
        lifters = {form: OnnxLifter(paths[form], 1) for form in FILES if form in {"fp32", *forms}}
        keypoints = random_keypoints(lifters["fp32"].spec, 1)
        naive = naive_call(network, paths[NAIVE], keypoints, 1)
        if not (off := float(np.abs(naive() - lifters["fp32"](keypoints)).max())) <= TOLERANCE_M:
            raise PoseedgeError(f"{network.name}: folded and naive form differ by {off:.1e} m, {TOLERANCE_M:.0e} are allowed")
        calls: dict[str, Candidate] = {NAIVE: naive}
        calls |= {form: partial(lifter, keypoints) for form, lifter in lifters.items()}
        if find_spec("openvino"):
            elsewhere = {name: form for name, form in OPENVINO.items() if name in forms}
            calls |= {name: partial(OpenVINOLifter(paths[form], 1), keypoints) for name, form in elsewhere.items()}
        spent = time_alternating(calls, affordable(calls, budget_s))
    return {
        "latency_ms": {form: summary_ms(times).model_dump() for form, times in spent.items()},
        "file_bytes": {form: paths[form].stat().st_size for form in FILES},
        "max_difference_m": off,
        "int8_share": int8_share(Graph.load(paths["fp32"]), load_recipe(network.name).int8.keep),
    }


def int8_share(graph: Graph, keep: list[str]) -> float:
    """Return the share of the Linear layers' multiply-adds that level A does in INT8."""
    macs = multiply_adds(graph)
    return sum(macs[name] for name in place(graph, keep).layers) / sum(macs.values())


def markdown(machine: dict[str, Any], rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as a readable table."""
    lines = ["# Precisions on a CPU", "", versions(machine), ""]
    for note in sorted({row["note"] for row in rows.values()} - {None, ""}):
        lines += [f"Note, {', '.join(name for name, row in rows.items() if row['note'] == note)}: {note}.", ""]
    lines += [
        "One window, one thread, opset 17. Naive: median ms; the others: their median as a share of it, below 1 is faster.",
        "int8 cpu: as `--target cpu-opset23` writes it. Share: of the Linear multiply-adds, what INT8 does.",
        "",
    ]
    lines += grid(
        ["network", "naive ms", *FORMS, "share", *(f"{form} MB" for form in FILES[:3])],
        [
            [
                name,
                f"{p50(row, NAIVE):.2f}",
                *(f"{p50(row, form) / p50(row, NAIVE):.2f}" if form in row["latency_ms"] else "-" for form in FORMS),
                f"{row['int8_share']:.2f}",
                *(f"{row['file_bytes'][form] / 1e6:.1f}" for form in FILES[:3]),
            ]
            for name, row in rows.items()
        ],
    )
    return "\n".join(lines) + "\n"


PROGRAM = compare

if __name__ == "__main__":
    typer.run(PROGRAM)
