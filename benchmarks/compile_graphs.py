"""Build every graph of every network with NVIDIA's own compiler, without a GPU, and record what became of it.

    python -m benchmarks compile_graphs [--model mixste]...

Networks have their default configuration and random weights: whether a graph builds does not depend on them. INT8 ranges
come from a few windows of the bundled motion.
"""

from __future__ import annotations

import dataclasses
import tempfile
from functools import partial
from pathlib import Path

import onnx
import torch

from benchmarks.networks import NETWORKS, Row, made_on, record_networks, today
from benchmarks.options import Models, Results
from benchmarks.record import RESULTS, grid
from poseedge.arrays import Float32Array
from poseedge.bench.machine import machine_facts
from poseedge.export.recipe import Recipe, load_recipe
from poseedge.export.streams import quantize_alike, traced_stream
from poseedge.fold import fold
from poseedge.graph.cpu_form import widened
from poseedge.graph.device_form import device_form, fewer_products
from poseedge.graph.fp16 import to_fp16, to_int8_fp16
from poseedge.graph.graph import Graph
from poseedge.graph.trace import simplify, trace
from poseedge.int8.float_weights import store_weights_as_float
from poseedge.int8.placement import place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from poseedge.int8.windows import load_calibration
from poseedge.models.network import LiftingNetwork
from poseedge.models.registry import create
from poseedge.resources import resource
from poseedge.targets.aot import Compiled, Compiler, verdict
from poseedge.targets.aot.stand_ins import DISTRIBUTION
from poseedge.targets.aot.verdict import weight_bytes
from poseedge.targets.boards import DECOMPOSED, MODERN

WINDOWS = 2
COLUMNS = (
    *("network", "opset", "precision", "nodes inside", "kernels", "file MB"),
    *("engine weights MB", "of FP32", "activations MB", "s", "peak MB"),
)


def graphs_of(network: LiftingNetwork, recipe: Recipe, opset: int, windows: Float32Array, board: bool = True) -> dict[str, Graph]:
    """Return the network's graphs as a bundle would hold them, by precision; steady is INT8 with two steps (``--steady``).

    ``board``: in the form for boards, with fewer launches.
    """
    exact, _ = simplify(trace(fold(network), network.frames, network.in_channels, opset, free_batch=False))
    wide, narrow = (device_form(exact), fewer_products(exact)) if board else (widened(exact), exact)
    graphs = {"fp32": wide, "fp16": to_fp16(wide, recipe.fp16.keep)}
    forms = {"int8": place(narrow, recipe.int8.keep), "int8 steady": place(narrow, recipe.int8.keep, recipe.int8.two_step)}
    for form, placement in forms.items():
        quantized = quantize(narrow, placement, calibrate(narrow, placement, windows, migrate=recipe.int8.migrate))
        graphs[form] = quantized
        if opset == DECOMPOSED:
            store_weights_as_float(quantized)  # as for all targets of that opset, whose TensorRT reads no others
        if opset == MODERN:  # as all targets are whose TensorRT takes types from the graph
            graphs[form.replace("int8", "int8-fp16")] = to_int8_fp16(quantized, narrow, recipe.fp16.keep)
    return graphs | streams_of(network, recipe, opset, exact, windows)


def streams_of(network: LiftingNetwork, recipe: Recipe, opset: int, exact: Graph, windows: Float32Array) -> dict[str, Graph]:
    """Return the graphs of the network's streaming form, if it has one: what ``--stream`` adds to a bundle."""
    stream = traced_stream(network, opset)
    if stream is None:
        return {}
    placement = place(exact, recipe.int8.keep)
    ranges = calibrate(exact, placement, windows, migrate=recipe.int8.migrate)
    graphs = {"fp32": stream, "fp16": to_fp16(stream, recipe.fp16.keep), "int8": quantize_alike(stream, placement, ranges)}
    if opset == DECOMPOSED:
        store_weights_as_float(graphs["int8"])
    return {f"{precision} stream": graph for precision, graph in graphs.items()}


def build(compiler: Compiler, graph: Graph) -> tuple[Compiled, Row]:
    """Compile one graph; return the outcome and its row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        onnx.save(graph.proto, path)
        compiled = compiler.compile(path)
        row = dataclasses.asdict(compiled) | {
            "file_bytes": path.stat().st_size,
            "stored_weight_bytes": weight_bytes(graph),
            "findings": [finding.message for finding in verdict(graph, compiled)],
        }
    return compiled, row


def built(compiler: Compiler, name: str) -> Row:
    """Return when and with what the graphs of one network were built, and a row for each precision and opset."""
    torch.manual_seed(0)
    network = create(name).eval()
    assert isinstance(network, LiftingNetwork)
    windows = load_calibration(resource("calib_data", "mocap17-calib"), network.frames, WINDOWS, network.in_channels)
    rows = []
    for opset in (MODERN, DECOMPOSED):
        for precision, graph in graphs_of(network, load_recipe(name), opset, windows).items():
            compiled, row = build(compiler, graph)
            rows.append({"opset": opset, "precision": precision, **row})
            outcome = compiled.error or f"{compiled.nodes - len(compiled.outside)} of {compiled.nodes} nodes"
            print(f"{name} opset {opset} {precision}: {outcome}, {compiled.weight_bytes / 1e6:.2f} MB of weights", flush=True)
    return {"made": made_now(compiler), "graphs": rows}


def made_now(compiler: Compiler) -> str:
    """Return day, machine and versions."""
    machine = machine_facts()
    runtime = f"ONNX Runtime {machine['packages']['onnxruntime']}"
    return f"{today()}, {machine['cpu']}; {runtime}, TensorRT-RTX from {DISTRIBUTION} {compiler.version}"


def markdown(architecture: str, networks: dict[str, Row]) -> str:
    """Return the rows as a readable table."""
    rows = [(name, row) for name, network in networks.items() for row in network["graphs"]]
    whole = {(name, row["opset"]): row["weight_bytes"] for name, row in rows if row["precision"] == "fp32"}
    found = [f"- {name} opset {row['opset']} {row['precision']}: {text}" for name, row in rows for text in row["findings"]]
    lines = [
        f"# NVIDIA's compiler on every graph, {architecture}",
        "",
        "No GPU. Default configurations, random weights, one window per call; of a streaming form one frame. A build says that "
        "parser and builder take the graph; it says nothing of accuracy or speed, nor of the older TensorRT on a Jetson. "
        "Kernels: what a call launches, as the engine's program lists it; a dash: built before that was counted. "
        "Seconds are wall time of the build, on one core that had other work.",
        "",
        *made_on(networks),
        "",
        *grid(list(COLUMNS), [cells(name, row, whole[name, row["opset"]]) for name, row in rows]),
        "",
        "Findings:" if found else "Findings: none.",
        *(["", *found] if found else []),
    ]
    return "\n".join(lines) + "\n"


def cells(name: str, row: Row, fp32_bytes: int) -> list[str]:
    """Return one line of the table; ``fp32_bytes``: of weights in the engine of the FP32 graph."""
    inside = row["error"] or f"{row['nodes'] - len(row['outside'])} of {row['nodes']}"
    return [
        *(name, str(row["opset"]), row["precision"], inside, str(row.get("kernels", "-"))),
        *(f"{row[key] / 1e6:.2f}" for key in ("file_bytes", "weight_bytes")),
        f"{row['weight_bytes'] / fp32_bytes:.2f}" if fp32_bytes else "-",
        f"{row['activation_bytes'] / 1e6:.1f}",
        f"{row['seconds']:.1f}",
        f"{row['peak_bytes'] / 1e6:.0f}",
    ]


def compile_all(model: Models = None, results: Results = RESULTS) -> None:
    """Build every graph and record what became of it."""
    with Compiler() as compiler:
        record_networks(
            results / f"compile_{compiler.architecture}",
            None,
            "",
            model or NETWORKS,
            partial(built, compiler),
            partial(markdown, compiler.architecture),
            architecture=compiler.architecture,
        )


PROGRAM = compile_all
