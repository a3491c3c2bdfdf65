"""From a checkpoint to a bundle: fold, trace, simplify, FP16, INT8, and the proof that the pose survived."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

import poseedge
from poseedge.arrays import Float32Array
from poseedge.backends.backend import Opening
from poseedge.backends.torch import TorchLifter
from poseedge.bundle.manifest import SAMPLES, CalibrationEntry, Description, GraphEntry
from poseedge.bundle.writing import write_bundle
from poseedge.data.h36m import load_dataset
from poseedge.device.joined import run_py
from poseedge.errors import DataError, PoseedgeError
from poseedge.export.describe import Made, describe
from poseedge.export.job import Export
from poseedge.export.proof import prove, save_samples
from poseedge.files import sha256_of
from poseedge.fold import fold
from poseedge.graph.cpu_form import to_cpu_form
from poseedge.graph.float32 import float32_nodes
from poseedge.graph.fp16 import to_fp16, to_int8_fp16
from poseedge.graph.graph import evaluator, opset_of, save_graph
from poseedge.graph.metadata import GraphMetadata
from poseedge.graph.trace import NEWEST_TRACED, simplify, trace
from poseedge.int8.placement import place
from poseedge.int8.quantize import ORT_DISABLED_OPTIMIZERS, quantize
from poseedge.int8.ranges import cached, passes, read_ranges
from poseedge.int8.windows import digest, load_calibration
from poseedge.lifter import Flip, Precision
from poseedge.models.flip import FlipAveraged, Lifting, paired
from poseedge.models.network import LiftingNetwork
from poseedge.progress import Stage, silent

FOLD_TOLERANCE = 1e-4  # metres; folding and tracing are exact up to float rounding
SAMPLE_WINDOWS = 16
RANGES = "ranges.json"


@dataclass(frozen=True)
class Quantized:
    """The INT8 graph, and what the manifest says of its calibration."""

    graph: onnx.ModelProto
    calibration: CalibrationEntry


def export_bundle(job: Export, stage: Stage = silent) -> Description:
    """Do ``job`` and return what the manifest of the bundle that it wrote says.

    Raises ``PoseedgeError`` where the input is wrong or a graph does not equal the network; a parity limit that is
    missed is no error: the manifest says so.
    """
    opening = Opening(torch.get_num_threads(), job.recipe.model, job.settings, job.flip)
    reference = TorchLifter.from_checkpoint(job.checkpoint, opening)
    network = reference.network
    test = load_dataset(job.data)
    if not test.test:
        raise DataError(
            f"{job.data}: {test.name} names no test subjects to show parity on", "choose another data set with --data"
        )
    test = test.of(test.test)
    windows = load_calibration(job.calibration, network.frames, job.recipe.int8.windows, network.in_channels)

    def fill(folder: Path) -> Description:
        made = make_graphs(job, network, windows, folder, stage)
        proved = prove(job, reference, test, {name: folder / entry.file for name, entry in made.graphs.items()}, stage)
        save_samples(reference, windows[:SAMPLE_WINDOWS], job.flip, folder / SAMPLES)
        (folder / "run.py").write_text(run_py(), encoding="utf-8")
        return describe(job, network, made, proved)

    return write_bundle(job.output, fill)


def make_graphs(job: Export, network: LiftingNetwork, windows: Float32Array, folder: Path, stage: Stage) -> Made:
    """Write the graph of every precision into ``folder``, and the INT8 ranges if one needs them."""
    with stage("fold, trace, simplify", 1) as advance:
        exact, note = exact_graph(job, network, windows)
        advance(1)
    quantized = quantize_graph(exact, job, windows, folder, stage)
    origin, graphs = sha256_of(job.checkpoint), {}
    for precision in job.precisions:
        graph = graph_of(precision, exact, quantized.graph, job.recipe.fp16.keep)
        graphs[precision] = write_graph(graph, precision, job, network, origin, folder)
    return Made(graphs, quantized.calibration, note or "onnxsim")


def write_graph(
    graph: onnx.ModelProto, precision: Precision, job: Export, network: LiftingNetwork, source_sha256: str, folder: Path
) -> GraphEntry:
    """Write one graph into ``folder``; return what the manifest says of it."""
    file = folder / f"{network.name}_{precision}.onnx"
    metadata = GraphMetadata(
        model=network.name,
        config=network.config,
        precision=precision,
        output_frames=network.output_frames,
        source_sha256=source_sha256,
        version=poseedge.__version__,
        flip=flip_of(job, network),
        ort_disabled_optimizers=ORT_DISABLED_OPTIMIZERS if is_quantized(precision) else (),
    )
    save_graph(graph, metadata, file)
    return GraphEntry(
        file=file.name,
        opset=opset_of(graph),
        nodes=len(graph.graph.node),
        bytes=file.stat().st_size,
        float32_nodes=float32_nodes(graph),
    )


def exact_graph(job: Export, network: LiftingNetwork, windows: Float32Array) -> tuple[onnx.ModelProto, str]:
    """Return the FP32 graph, checked against the plain network on real windows, and the simplifier's note."""
    # The exporter puts back the mode that it found, in all submodules.
    module, exact = lifting_module(job, network)
    opset = min(job.target.opset, NEWEST_TRACED)
    model, note = simplify(trace(module, network.frames, network.in_channels, opset, job.free_batch))
    if job.target.cpu_form:
        model = to_cpu_form(model, job.target.opset)
    evaluate = evaluator(model)
    samples = [window[None] for window in windows[:SAMPLE_WINDOWS]]  # one by one: the largest networks need the memory
    with torch.inference_mode():
        wanted = np.concatenate([exact(torch.from_numpy(window)).numpy() for window in samples])
    found = np.concatenate([evaluate(window)[0] for window in samples])
    if not (difference := float(np.abs(found - wanted).max())) <= FOLD_TOLERANCE:
        raise PoseedgeError(
            f"the exported {network.name} graph differs from the network by {difference:.2e} m, allowed is {FOLD_TOLERANCE:g}",
            "this is a bug in the fold or the exporter; export with fold = false in the recipe, and report it",
        )
    return model, note


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


def graph_of(precision: Precision, model: onnx.ModelProto, quantized: onnx.ModelProto, keep: list[str]) -> onnx.ModelProto:
    """Return the graph of ``precision``, of the float32 graph and the INT8 one; ``keep`` is the recipe's for FP16."""
    if precision == "fp16":
        return to_fp16(model, keep)
    if precision == "int8-fp16":
        return to_int8_fp16(quantized, model, keep)
    return quantized if precision == "int8" else model


def quantize_graph(exact: onnx.ModelProto, job: Export, windows: Float32Array, folder: Path, stage: Stage) -> Quantized:
    """Return the INT8 graph, whose ranges go into ``folder``, or the exact one if no precision of ``job`` needs it."""
    drawn = CalibrationEntry(windows=len(windows), sha256=digest(windows))
    if not any(is_quantized(precision) for precision in job.precisions):
        return Quantized(exact, drawn)
    int8 = job.recipe.int8
    placement = place(exact, int8.keep, int8.two_step if job.steady else [], int8.level)
    if not placement.layers:
        raise PoseedgeError(f"no layer of {job.recipe.model} takes INT8", "loosen int8.keep in the recipe, or leave int8 out")
    with stage("calibrate INT8", len(windows) * passes(int8.calibration)) as advance:
        found = cached(exact, placement, windows, int8.calibration, int8.migrate, lambda: advance(1))
    (folder / RANGES).write_text(json.dumps(found))
    taken = {"layers": sorted(placement.layers), "two_step": placement.two_step_names, "ranges": RANGES}
    return Quantized(quantize(exact, placement, read_ranges(found)), drawn.model_copy(update=taken))
