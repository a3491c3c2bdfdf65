"""``poseedge quantize``: INT8 for any float32 lifting graph, ours or another's."""

from __future__ import annotations

import json as codec
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import poseedge
from poseedge.bundle.reading import refuse_to_change
from poseedge.cli import options
from poseedge.cli.console import emit_json, mm, next_step, out, stage, warn
from poseedge.data.h36m import load_dataset
from poseedge.errors import ArtefactError, PoseedgeError, nearest
from poseedge.files import atomic_write, sha256_of
from poseedge.graph.flops import stored_bytes
from poseedge.graph.graph import Graph
from poseedge.graph.lifting import open_float32
from poseedge.graph.metadata import GraphMetadata
from poseedge.int8.float_weights import store_weights_as_float
from poseedge.int8.placement import LEVELS, place
from poseedge.int8.quantize import ORT_DISABLED_OPTIMIZERS
from poseedge.int8.quantize import quantize as with_int8
from poseedge.int8.range_plot import draw_ranges
from poseedge.int8.ranges import METHODS, cached_ranges, calibration_passes, read_ranges
from poseedge.int8.sensitivity import Sensitivity, choose_runs
from poseedge.int8.windows import load_calibration
from poseedge.lifter import LifterSpec
from poseedge.resources import CALIBRATION_DATA, SAMPLE_DATA, resource


def quantize(
    graph: Annotated[Path, typer.Argument(help="float32 .onnx file from keypoints (B, T, 17, 2) to joints (B, T', 17, 3)")],
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="INT8 file; default: GRAPH_int8.onnx beside it, but for a bundle's graphs")
    ] = None,
    data: options.TrainingData = None,
    calibration: Annotated[str, typer.Option(help="minmax, percentile, entropy or mse")] = "minmax",
    level: Annotated[str, typer.Option(help="A: Linear layers; B: and attention products")] = "A",
    keep: Annotated[list[str] | None, typer.Option(help="layers to keep float, as a pattern (repeat)")] = None,
    two_step: Annotated[list[str] | None, typer.Option(help="layers to round in two steps, as a pattern (repeat)")] = None,
    float_weights: Annotated[
        bool, typer.Option("--float-weights", help="store weights as float, for TensorRT before 10; the integers stay the same")
    ] = False,
    windows: options.CalibrationWindows = 512,
    frames: Annotated[int, typer.Option(min=12, help="frames to show parity on")] = 960,
    plot: options.Plot = None,
    json: options.Json = False,
) -> None:
    """Quantize an ONNX file to INT8 as TensorRT reads it, and say what that costs in millimetres.

    Example: poseedge quantize model.onnx --calibration mse
    """
    for name, value, known in (("calibration", calibration, METHODS), ("level", level, LEVELS)):
        if value not in known:
            raise PoseedgeError(f"unknown --{name} {value!r}", nearest(value, [*known]))
    exact, spec = open_float32(graph)
    target = output or graph.with_name(f"{graph.stem.removesuffix('_fp32')}_int8.onnx")
    refuse_to_change(target)
    placement = place(exact, keep, two_step, level)  # type: ignore[arg-type]
    if not placement.layers:
        raise ArtefactError(f"{graph}: no layer takes INT8", "expected MatMul or Gemm with a constant weight of 16 x 16 or more")
    folder = data or resource(*CALIBRATION_DATA)
    drawn = load_calibration(folder, spec.frames, windows, spec.channels, spec.known_fps, warn)
    with stage("calibrate INT8", windows * calibration_passes(calibration)) as advance:  # type: ignore[arg-type]
        found = cached_ranges(exact, placement, drawn, calibration, 0.5, lambda: advance(1))  # type: ignore[arg-type]
    if plot:
        draw_ranges(found, placement, graph.name, plot)
    made = with_int8(exact, placement, read_ranges(found))
    test = load_dataset(resource(*SAMPLE_DATA))
    with stage("parity", 1) as advance:
        cost = Sensitivity(exact, spec, choose_runs(test.of(test.test), spec, frames), found).cost_of(made)
        advance(1)
    write(made, target, graph, spec, float_weights, found)
    if json:
        emit_json({"output": str(target), "layers": sorted(placement.layers), "parity": asdict(cost)})
        return
    sizes = f"{stored_bytes(graph) / 1e6:.2f} to {stored_bytes(target) / 1e6:.2f} MB"
    out.print(f"{len(placement.layers)} layers in INT8, {sizes}; against {graph.name} on {frames} frames of {test.name}:")
    out.print(f"  MPJPE {cost.delta_mpjpe_mm:+.3f} mm, joints {mm(cost.mean_mm)} mm apart (p99 {mm(cost.p99_mm)} mm)")
    out.print(f"  jitter {mm(cost.jitter_mm)} against {mm(cost.float_jitter_mm)} mm per frame squared")
    next_step("poseedge", "eval", target, "--against", graph)


def write(made: Graph, target: Path, source: Path, spec: LifterSpec, float_weights: bool, ranges: dict[str, Any]) -> None:
    """Write the INT8 graph with what it came from, and the ranges of its tensors beside it."""
    metadata = GraphMetadata(
        model=spec.model,
        config={},
        precision="int8",
        output_frames=spec.output_frames,
        source_sha256=sha256_of(source),
        version=poseedge.__version__,
        flip=spec.flip,
        ort_disabled_optimizers=ORT_DISABLED_OPTIMIZERS,
        fps=spec.fps,
    )
    if float_weights:
        store_weights_as_float(made)
    made.save(target, metadata)
    with atomic_write(target.with_suffix(".ranges.json")) as temporary:
        temporary.write_text(codec.dumps(ranges))
