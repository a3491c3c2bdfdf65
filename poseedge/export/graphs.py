"""The graphs of one export: the float32 one, checked against its network, and the precisions made of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

import poseedge
from poseedge.arrays import Float32Array
from poseedge.bundle.manifest import CalibrationEntry, GraphEntry, StreamEntry
from poseedge.errors import PoseedgeError
from poseedge.export.describe import Made
from poseedge.export.job import Export, sample_windows
from poseedge.export.streams import compared, quantize_alike, stream_graph
from poseedge.files import sha256_of
from poseedge.fold import fold
from poseedge.graph.cpu_form import to_cpu_form, widened
from poseedge.graph.device_form import device_form, fewer_products
from poseedge.graph.float32 import float32_nodes
from poseedge.graph.fp16 import to_fp16, to_int8_fp16
from poseedge.graph.graph import Graph
from poseedge.graph.metadata import GraphMetadata
from poseedge.graph.nodes import check_patterns, matches
from poseedge.graph.structure import chooses_neighbours
from poseedge.graph.trace import NEWEST_TRACED, SIMPLIFIED_TOLERANCE, simplify, trace
from poseedge.int8.cpu_graph import for_cpu
from poseedge.int8.float_weights import store_weights_as_float
from poseedge.int8.placement import Placement, place
from poseedge.int8.quantize import ORT_DISABLED_OPTIMIZERS, quantize
from poseedge.int8.ranges import Ranges, cached_ranges, calibration_passes, read_ranges
from poseedge.int8.windows import digest
from poseedge.lifter import Flip, Precision
from poseedge.models.flip import FlipAveraged, Lifting, paired
from poseedge.models.network import LiftingNetwork
from poseedge.progress import Stage

FOLD_TOLERANCE = SIMPLIFIED_TOLERANCE  # metres; folding and tracing are exact up to float rounding
RANGES = "ranges.json"


@dataclass(frozen=True)
class Quantized:
    """The INT8 graph, and what the manifest says of its calibration; what takes INT8 in it, and with what ranges."""

    graph: Graph
    calibration: CalibrationEntry
    placement: Placement | None = None
    ranges: Ranges = field(default_factory=dict)


def make_graphs(
    job: Export, network: LiftingNetwork, windows: Float32Array, motion: Float32Array, folder: Path, stage: Stage
) -> Made:
    """Write the graph of every precision into ``folder``, and the INT8 ranges if one needs them.

    ``windows (N, T, 17, C)``: what INT8 is calibrated on; ``motion (frames, 17, C)``: what streaming forms are compared on.
    """
    with stage("fold, trace, simplify", 1) as advance:
        exact, note, poses_m = exact_graph(job, network, windows)
        advance(1)
    quantized = quantize_graph(rounded_form(job, exact), job, windows, folder, stage)
    graphs = write_graphs(exact, quantized.graph, job, network, folder)
    streams: dict[Precision, StreamEntry] = {}
    if job.stream:
        with stage("streaming form", len(job.precisions)) as advance:
            exact = stream_graph(job, network)
            alike = quantize_alike(exact, quantized.placement, quantized.ranges) if quantized.placement else exact
            for precision, entry in write_graphs(exact, alike, job, network, folder, network.frames).items():
                streams[precision] = compared(entry, folder, graphs[precision].file, motion)
                advance(1)
    return Made(graphs, streams, quantized.calibration, note or "onnxsim", poses_m)


def write_graphs(
    exact: Graph, quantized: Graph, job: Export, network: LiftingNetwork, folder: Path, streams: int = 0
) -> dict[Precision, GraphEntry]:
    """Write the graph of every precision into ``folder``; return what the manifest says of each.

    ``streams``: of a streaming form, the frames of its windows.
    """
    wide, narrow = wide_form(job, exact), rounded_form(job, exact)
    origin, graphs = sha256_of(job.checkpoint), {}
    for precision in job.precisions:
        plain = narrow if is_quantized(precision) else wide
        graph = graph_of(precision, plain, quantized, job.recipe.fp16.keep)
        held = held_in_float32(precision, graph, plain, job.recipe.fp16.keep)
        if job.target.cpu_form:
            graph = for_cpu(graph, graph.opset, dynamic=not job.free_batch)
        elif is_quantized(precision) and not job.target.reads_int8_weights:
            store_weights_as_float(graph)
        graphs[precision] = write_graph(graph, held, precision, job, network, origin, folder, streams)
    return graphs


def wide_form(job: Export, exact: Graph) -> Graph:
    """Return the graph that FP32 and FP16 are made of: for a board with fewer launches, unless the recipe names its weights."""
    return device_form(exact) if job.target.board and not job.recipe.fp16.keep else widened(exact)


def rounded_form(job: Export, exact: Graph) -> Graph:
    """Return the graph that INT8 is made of: for a board with fewer products. Wide factors would save it nothing."""
    return fewer_products(exact) if job.target.board else exact


def write_graph(
    graph: Graph,
    held: list[str],
    precision: Precision,
    job: Export,
    network: LiftingNetwork,
    source_sha256: str,
    folder: Path,
    streams: int,
) -> GraphEntry:
    """Write one graph, which has ``held`` in float32, into ``folder``; return what the manifest says of it."""
    file = folder / f"{network.name}_{precision}{'_stream' if streams else ''}.onnx"
    metadata = GraphMetadata(
        model=network.name,
        config=network.config,
        precision=precision,
        output_frames=network.output_frames,
        source_sha256=source_sha256,
        version=poseedge.__version__,
        flip=flip_of(job, network),
        ort_disabled_optimizers=(
            *job.recipe.onnxruntime.disabled,
            *(ORT_DISABLED_OPTIMIZERS if any(graph.of("DequantizeLinear")) else ()),
        ),
        streams=streams,
        fps=network.fps,
    )
    graph.save(file, metadata)
    return GraphEntry(
        file=file.name,
        opset=graph.opset,
        nodes=len(graph.nodes),
        bytes=file.stat().st_size,
        float32_nodes=held,
    )


def exact_graph(job: Export, network: LiftingNetwork, windows: Float32Array) -> tuple[Graph, str, Float32Array]:
    """Return the FP32 graph, checked against the plain network on real windows, and the simplifier's note.

    Third, what the plain network makes of the first windows ``(sample_windows, T_out, 17, 3)``.
    """
    # The exporter puts back the mode that it found, in all submodules.
    module, plain = lifting_module(job, network)
    check_recipe(job, module)
    samples = [window[None] for window in windows[: sample_windows(network)]]  # one by one: the largest networks need the memory
    with torch.inference_mode():
        wanted = np.concatenate([plain(torch.from_numpy(window)).numpy() for window in samples])

    def difference_of(graph: Graph) -> float:
        evaluate = graph.evaluator()
        found = np.concatenate([evaluate(window)[0] for window in samples])
        return distance_from(wanted, found, chooses_neighbours(graph))

    opset = min(job.target.opset, NEWEST_TRACED)
    traced = trace(module, network.frames, network.in_channels, opset, job.free_batch)
    graph, note = simplify(traced, difference_of=difference_of)
    if job.target.cpu_form:
        to_cpu_form(graph, job.target.opset)
    elif not note:  # compared already
        return graph, note, wanted
    if not (difference := difference_of(graph)) <= FOLD_TOLERANCE:
        raise PoseedgeError(
            f"the exported {network.name} graph differs from the network by {difference:.2e} m, allowed is {FOLD_TOLERANCE:g}",
            "this is a bug in the fold or the exporter; export with fold = false in the recipe, and report it",
        )
    return graph, note, wanted


def distance_from(wanted: Float32Array, found: Float32Array, chooses: bool) -> float:
    """Return by how much a graph's result differs at most, metres; of one that ``chooses`` neighbours the median.

    Where frames are alike but for rounding, the choice is rounding's. Trained, MotionAGFormer in PyTorch is in float32 up to 3 mm
    from itself in float64, and 0.4 micrometres by the median (64 windows of mocap17-calib).
    """
    apart = np.abs(found - wanted)
    return float(np.median(apart) if chooses else apart.max())


def check_recipe(job: Export, module: nn.Module) -> None:
    """Raise ``PoseedgeError`` for patterns of the recipe that cannot be meant, before the time that tracing takes.

    Weights keep their names in the graph, where the patterns are looked up again.
    """
    names = sorted({key.removesuffix(".weight") for key in module.state_dict()})
    int8 = job.recipe.int8
    given: dict[str, list[str]] = {}
    if any("fp16" in precision for precision in job.precisions):
        given["fp16.keep"] = job.recipe.fp16.keep
    if any("int8" in precision for precision in job.precisions):
        given |= {"int8.keep": int8.keep, "int8.two_step": int8.two_step if job.steady else []}
    for key, patterns in given.items():  # with #, a layer that shares its weight is meant
        check_patterns([pattern for pattern in patterns if "#" not in pattern], names, f"{key}: no weight matches")
    half = given.get("fp16.keep", [])
    if all(matches(name, half) for name in names):
        raise PoseedgeError(f"fp16.keep = {half}: keeps every weight in float32", "name those that need it; docs/recipes.md")


def lifting_module(job: Export, network: LiftingNetwork) -> tuple[nn.Module, nn.Module]:
    """Return what is exported and what it must equal."""
    plain: nn.Module = Lifting(network)
    if job.flip:
        plain = FlipAveraged(Lifting(network := paired(network)))
    if not job.recipe.fold:
        return plain.eval(), plain
    folded = fold(network, job.free_batch or job.flip)
    return (FlipAveraged(folded).eval() if job.flip else folded), plain


def flip_of(job: Export, network: LiftingNetwork) -> Flip:
    """Return what the flip test of the exported graphs needs."""
    if job.flip:
        return "inside"
    return "shared" if network.shares_selection else "passes"


def is_quantized(precision: Precision) -> bool:
    """Say whether graphs of ``precision`` hold Q/DQ."""
    return precision.startswith("int8")


def graph_of(precision: Precision, exact: Graph, quantized: Graph, keep: list[str]) -> Graph:
    """Return the graph of ``precision``, of the float32 graph and the INT8 one; ``keep`` is the recipe's for FP16."""
    if precision == "fp16":
        return to_fp16(exact, keep)
    if precision == "int8-fp16":
        return to_int8_fp16(quantized, exact, keep)
    return quantized if precision == "int8" else exact


def held_in_float32(precision: Precision, graph: Graph, exact: Graph, keep: list[str]) -> list[str]:
    """Return the nodes that stay in FP32 where builder flags allow a lower precision.

    The rest of an INT8 graph runs in half precision there, so what it holds is what the graph that mixes the two would keep.
    """
    return float32_nodes(to_int8_fp16(graph, exact, keep) if precision == "int8" else graph)


def quantize_graph(exact: Graph, job: Export, windows: Float32Array, folder: Path, stage: Stage) -> Quantized:
    """Return the INT8 graph, whose ranges go into ``folder``, or the exact one if no precision of ``job`` needs it."""
    drawn = CalibrationEntry(windows=len(windows), sha256=digest(windows))
    if not any(is_quantized(precision) for precision in job.precisions):
        return Quantized(exact, drawn)
    int8 = job.recipe.int8
    placement = place(exact, int8.keep, int8.two_step if job.steady else [], int8.level)
    if not placement.layers:
        raise PoseedgeError(f"no layer of {job.recipe.model} takes INT8", "loosen int8.keep in the recipe, or leave int8 out")
    with stage("calibrate INT8", len(windows) * calibration_passes(int8.calibration)) as advance:
        found = cached_ranges(exact, placement, windows, int8.calibration, int8.migrate, lambda: advance(1))
    (folder / RANGES).write_text(json.dumps(found))
    taken = {"layers": sorted(placement.layers), "two_step": placement.two_step_names, "ranges": RANGES}
    ranges = read_ranges(found)
    return Quantized(quantize(exact, placement, ranges), drawn.model_copy(update=taken), placement, ranges)
