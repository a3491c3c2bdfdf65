"""Every network as exported by poseedge against its naive export, at the default configuration, on ONNX Runtime.

``python -m benchmarks compare_networks``. A network and its pruned variants take turns in one measurement.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.naive import export_naive, naive_call
from benchmarks.networks import FAMILIES, Row, deterministic, made_on, metadata, notes, record_networks
from benchmarks.options import Page, Results
from benchmarks.record import PAGE, RESULTS, grid, machine_slug
from poseedge.arrays import Float32Array
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.bench.latency import Alternation, Candidate, pinned, summary_ms, time_alternating
from poseedge.bench.machine import busy, machine_facts
from poseedge.errors import PoseedgeError
from poseedge.fold import fold
from poseedge.graph.cpu_form import widened
from poseedge.graph.flops import graph_cost
from poseedge.graph.trace import simplify, trace
from poseedge.lifter import random_keypoints
from poseedge.models.network import LiftingNetwork
from poseedge.models.registry import network_class
from poseedge.targets.boards import load_target

FORMS = ("naive", "folded")
Lifts = dict[str, Callable[[], Float32Array]]
TOLERANCE_M = 1e-4
THREADS = 2
ROUNDS, LEAST_ROUNDS = 100, 5
BUDGET_S = 20.0  # for each network of a family


def compare(
    model: Annotated[list[str] | None, typer.Option(help="only the families of these networks (repeat)")] = None,
    threads: Annotated[int, typer.Option(min=1)] = THREADS,
    budget: Annotated[float, typer.Option(min=0, help="seconds of timing for each network")] = BUDGET_S,
    results: Results = RESULTS,
    page: Page = PAGE,
) -> None:
    """Time both forms of the networks and record the table of all that were measured on this machine."""
    machine = machine_facts()  # once: afterwards this program itself is the load
    for name in model or ():
        network_class(name)  # a name that is none is an error before anything is timed
    families = {name: family for family in FAMILIES if not model or set(model) & set(family) for name in family}

    @cache  # a family is measured once, for the first of its networks
    def rows(family: tuple[str, ...]) -> dict[str, Row]:
        return measure({name: deterministic(name) for name in family}, threads, budget)

    record_networks(
        results / f"networks_{machine_slug(machine)}",
        page,
        "networks",
        families,
        lambda name: {**rows(families[name])[name], "note": busy(machine)},
        markdown,
        machine=machine,
    )


def measure(networks: dict[str, LiftingNetwork], threads: int, budget_s: float) -> dict[str, Row]:
    """Return what the two forms of each network cost and take, timed in turns."""
    with tempfile.TemporaryDirectory() as folder, pinned(threads) as cores:
        rows: dict[str, Row] = {}
        calls: dict[str, Candidate] = {}
        for name, network in networks.items():
            prepared, rows[name] = prepare(network, Path(folder), threads)
            calls |= {f"{name} {form}": call for form, call in prepared.items()}
        schedule = affordable(calls, budget_s * len(networks))
        spent = time_alternating(calls, schedule)
    for name, row in rows.items():
        row["latency_ms"] = {form: summary_ms(spent[f"{name} {form}"]).model_dump() for form in FORMS}
        row["ratio"] = p50(row, "folded") / p50(row, "naive")
        row["method"] = {
            "rounds": schedule.rounds,
            "settling_calls_per_block": schedule.settle,
            "timed_calls_per_block": schedule.calls,
            "threads": threads,
            "pinned_cores": cores,
            "batch": 1,
        }
    return rows


def prepare(network: LiftingNetwork, folder: Path, threads: int) -> tuple[Lifts, Row]:
    """Export both forms; return a callable for each, and what is known of them before they are timed.

    Raises ``PoseedgeError`` if they are not the same network.
    """
    paths = {form: folder / f"{network.name}_{form}.onnx" for form in FORMS}
    export_naive(network, paths["naive"])
    exact, note = simplify(trace(fold(network), network.frames, network.in_channels, load_target("default").opset, False))
    if note:
        raise PoseedgeError(f"{network.name}: {note}")
    exact = widened(exact)
    exact.save(paths["folded"], metadata(network, "fp32", exact))
    lifter = OnnxLifter(paths["folded"], threads)
    keypoints = random_keypoints(lifter.spec, 1)
    calls: Lifts = {"naive": naive_call(network, paths["naive"], keypoints, threads), "folded": partial(lifter, keypoints)}
    with torch.inference_mode():
        expected = network.lift(torch.from_numpy(keypoints)).numpy()
    poses = {"PyTorch": expected, **{form: call() for form, call in calls.items()}}
    difference = max(float(np.abs(poses["folded"] - poses[other]).max()) for other in ("PyTorch", "naive"))
    if not difference <= TOLERANCE_M:
        raise PoseedgeError(f"{network.name}: folded and naive form differ by {difference:.1e} m, {TOLERANCE_M:.0e} are allowed")
    costs = {form: graph_cost(path) for form, path in paths.items()}
    return calls, {
        "frames": network.frames,
        "frames_out": len(network.output_frames),
        "max_difference_m": difference,
        "flops": {form: cost.flops for form, cost in costs.items()},
        "nodes": {form: cost.nodes for form, cost in costs.items()},
    }


def affordable(calls: dict[str, Candidate], budget_s: float) -> Alternation:
    """Return the usual blocks, as many as fit; single calls, to which warm caches mean little, where few would fit."""
    usual, once_s = Alternation(rounds=1), 0.0
    for _ in range(2):  # first calls are slow, but a network that takes seconds is not asked twice
        if once_s <= budget_s:
            once = time_alternating(calls, Alternation(rounds=1, settle=0, calls=1))
            once_s = sum(float(spent[0]) for spent in once.values())
    rounds = int(budget_s / (once_s * (usual.settle + usual.calls)))
    if rounds >= LEAST_ROUNDS:
        return Alternation(min(rounds, ROUNDS))
    return Alternation(max(int(budget_s / once_s), LEAST_ROUNDS), settle=0, calls=1)


def p50(row: Row, form: str) -> float:
    """Return the median latency of one form, ms."""
    return float(row["latency_ms"][form]["p50"])


def markdown(rows: dict[str, Row]) -> str:
    """Return the rows as readable tables."""
    lines = ["# Every network: the folded export against the naive one", "", *made_on(rows), *notes(rows), ""]
    threads = ", ".join(sorted({str(row["method"]["threads"]) for row in rows.values()}))
    lines += [f"One window, {threads} threads, float32, opset 17. Times in ms; n calls; ratio of medians, below 1 is faster.", ""]
    lines += grid(
        [
            *("network", "naive p50", "naive p90", "folded p50", "folded p90", "n", "ratio"),
            *("naive MFLOP", "folded MFLOP", "naive nodes", "folded nodes", "difference, m"),
        ],
        [
            [
                name,
                *(f"{row['latency_ms'][form][p]:.3f}" for form in FORMS for p in ("p50", "p90")),
                str(row["latency_ms"]["naive"]["n"]),
                f"{row['ratio']:.2f}",
                *(f"{row['flops'][form] / 1e6:,.1f}" for form in FORMS),
                *(str(row["nodes"][form]) for form in FORMS),
                f"{row['max_difference_m']:.0e}",
            ]
            for name, row in rows.items()
        ],
    )
    lines += ["", "Pruned networks, as a share of the plain one:", ""]
    pairs = [(name, plain) for plain, *pruned in FAMILIES for name in pruned if {name, plain} <= rows.keys()]
    lines += grid(
        ["network", "of", "MFLOP, naive", "MFLOP, folded", "time, naive", "time, folded"],
        [
            [
                name,
                plain,
                *(f"{rows[name]['flops'][form] / rows[plain]['flops'][form]:.2f}" for form in FORMS),
                *(f"{p50(rows[name], form) / p50(rows[plain], form):.2f}" for form in FORMS),
            ]
            for name, plain in pairs
        ],
    )
    return "\n".join(lines) + "\n"


PROGRAM = compare
