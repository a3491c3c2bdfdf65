"""Every network in FP32, FP16 and INT8 at the default configuration on ONNX Runtime: latency, size on disk, share of INT8.

``python -m benchmarks compare_precisions``. The precisions of a network take turns. Weights
are random and ranges come from few windows: neither changes what a call costs.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.compare_networks import BUDGET_S, affordable, p50
from benchmarks.compile_graphs import WINDOWS, graphs_of
from benchmarks.networks import NETWORKS, deterministic, record_networks
from benchmarks.record import PAGE, RESULTS, grid, machine_slug, versions
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.bench.latency import Candidate, pinned, summary_ms, time_alternating
from poseedge.bench.machine import busy, machine_facts
from poseedge.export.recipe import load_recipe
from poseedge.graph.graph import Graph
from poseedge.graph.metadata import GraphMetadata
from poseedge.int8.placement import place
from poseedge.int8.quantize import ORT_DISABLED_OPTIMIZERS
from poseedge.int8.sensitivity import multiply_adds
from poseedge.int8.windows import load_calibration
from poseedge.lifter import random_keypoints
from poseedge.models.network import LiftingNetwork
from poseedge.resources import resource
from poseedge.targets.boards import MODERN

FORMS = ("fp32", "fp16", "int8", "int8 steady")


def compare(
    model: Annotated[list[str] | None, typer.Option(help="only these networks (repeat)")] = None,
    budget: Annotated[float, typer.Option(min=0, help="seconds of timing for each network")] = BUDGET_S,
    results: Annotated[Path, typer.Option(help="folder for the JSON file and the table")] = RESULTS,
    page: Annotated[Path, typer.Option(help="page of the documentation that shows the table")] = PAGE,
) -> None:
    """Time the precisions of each network and record the table of all that were measured on this machine."""
    machine = machine_facts()  # once: afterwards this program itself is the load
    record_networks(
        results / f"precisions_{machine_slug(machine)}",
        page,
        "precisions",
        model or NETWORKS,
        lambda name: {**measure(deterministic(name), budget), "note": busy(machine)},
        partial(markdown, machine),
        machine=machine,
    )


def measure(network: LiftingNetwork, budget_s: float) -> dict[str, Any]:
    """Return latency and size of each form of ``network``, and how much of its Linear work is INT8. One thread, one window."""
    recipe = load_recipe(network.name)
    windows = load_calibration(resource("calib_data", "mocap17-calib"), network.frames, WINDOWS, network.in_channels)
    graphs = {form: graph for form, graph in graphs_of(network, recipe, MODERN, windows).items() if form in FORMS}
    with tempfile.TemporaryDirectory() as folder, pinned(1):
        paths = {form: Path(folder, f"{form}.onnx") for form in graphs}
        calls: dict[str, Candidate] = {}
        for form, path in paths.items():
            graphs[form].save(path, metadata(network, form))
            lifter = OnnxLifter(path, 1)
            calls[form] = partial(lifter, random_keypoints(lifter.spec, 1))
        spent = time_alternating(calls, affordable(calls, budget_s))
        sizes = {form: path.stat().st_size for form, path in paths.items()}
    return {
        "latency_ms": {form: summary_ms(times).model_dump() for form, times in spent.items()},
        "file_bytes": sizes,
        "int8_share": int8_share(graphs["fp32"], recipe.int8.keep),
    }


def metadata(network: LiftingNetwork, form: str) -> GraphMetadata:
    """Return what the runtime must know of a graph to run it as it runs a bundle's."""
    precision = form.partition(" ")[0]
    disabled = ORT_DISABLED_OPTIMIZERS if precision == "int8" else ()
    return GraphMetadata(
        network.name, network.config, precision, network.output_frames, "", "benchmark", ort_disabled_optimizers=disabled
    )


def int8_share(graph: Graph, keep: list[str]) -> float:
    """Return the share of the Linear layers' multiply-adds that level A does in INT8."""
    macs = multiply_adds(graph)
    return sum(macs[name] for name in place(graph, keep).layers) / sum(macs.values())


def markdown(machine: dict[str, Any], rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as a readable table."""
    lines = ["# Precisions on a CPU", "", versions(machine), ""]
    for note in sorted({row["note"] for row in rows.values()} - {None, ""}):
        lines += [f"Note, {', '.join(name for name, row in rows.items() if row['note'] == note)}: {note}.", ""]
    lines += ["One window, one thread, opset 17; median (p90) in ms.", "Share: of the Linear multiply-adds, what INT8 does.", ""]
    lines += grid(
        ["network", *FORMS, "int8 / fp32", "fp16 / fp32", "share", *(f"{form} MB" for form in FORMS[:3])],
        [
            [
                name,
                *(f"{spent['p50']:.2f} ({spent['p90']:.2f})" for spent in (row["latency_ms"][form] for form in FORMS)),
                *(f"{p50(row, form) / p50(row, 'fp32'):.2f}" for form in ("int8", "fp16")),
                f"{row['int8_share']:.2f}",
                *(f"{row['file_bytes'][form] / 1e6:.1f}" for form in FORMS[:3]),
            ]
            for name, row in rows.items()
        ],
    )
    return "\n".join(lines) + "\n"


PROGRAM = compare
