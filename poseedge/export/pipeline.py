"""From a checkpoint to a bundle: fold, trace, simplify, FP16, INT8, and the proof that the pose survived."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

import poseedge
from poseedge.arrays import Float32Array
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.backends.torch import TorchLifter
from poseedge.bundle.manifest import SAMPLES
from poseedge.bundle.writing import write_bundle
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset
from poseedge.device.joined import run_py
from poseedge.errors import DataError, PoseedgeError
from poseedge.evaluation.parity import Limits, parity
from poseedge.evaluation.plausible import doubts
from poseedge.evaluation.predict import Prediction, lift, predict
from poseedge.evaluation.score import score
from poseedge.export.known import error_in_recipe
from poseedge.export.recipe import Recipe
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
from poseedge.lifter import Flip, Lifter
from poseedge.models.flip import FlipAveraged, Lifting, paired
from poseedge.models.network import LiftingNetwork
from poseedge.progress import Stage, silent
from poseedge.targets.boards import Target

FOLD_TOLERANCE = 1e-4  # metres; folding and tracing are exact up to float rounding
SAMPLE_WINDOWS = 16
RANGES = "ranges.json"
NOTHING_DISABLED: tuple[str, ...] = ()
RECORDED_PACKAGES = ("torch", "onnx", "onnxruntime", "onnxsim", "onnxconverter-common", "numpy")


@dataclass(frozen=True)
class Export:
    """One export to do."""

    recipe: Recipe
    checkpoint: Path
    bundled: bool  # the checkpoint is the one that travels with poseedge
    target_name: str
    target: Target
    precisions: tuple[str, ...]
    output: Path
    data: Path  # parity is shown on its test subjects
    calibration: Path  # INT8 ranges come from its training subjects
    every: int = 1  # parity on every n-th frame
    free_batch: bool = False
    flip: bool = False  # the graph does the flip test itself: a window and its mirror, averaged
    steady: bool = False  # INT8 rounds in two steps where the recipe says so


def export_bundle(job: Export, stage: Stage = silent) -> dict[str, Any]:
    """Do ``job`` and return the manifest of the bundle that it wrote.

    Raises ``PoseedgeError`` where the input is wrong or a graph does not equal the network; a parity limit that is
    missed is no error: the manifest says so.
    """
    reference = TorchLifter.from_checkpoint(job.checkpoint, torch.get_num_threads(), job.recipe.model, job.flip)
    network = reference.network
    test = load_dataset(job.data)
    if not test.test:
        raise DataError(
            f"{job.data}: {test.name} names no test subjects to show parity on", "choose another data set with --data"
        )
    test = test.of(test.test)
    windows = load_calibration(job.calibration, network.frames, job.recipe.int8.windows, network.in_channels)

    manifest = describe(job, network, windows)
    with write_bundle(job.output, manifest) as folder:
        with stage("fold, trace, simplify", 1) as advance:
            model, note = exact_graph(job, network, windows)
            advance(1)
        manifest["simplifier"] = note or "onnxsim"
        metadata = partial(
            GraphMetadata,
            model=network.name,
            config=network.config,
            output_frames=network.output_frames,
            source_sha256=manifest["checkpoint"]["sha256"],
            version=poseedge.__version__,
            flip=flip_of(job, network),
        )
        quantized = model
        if any(is_quantized(precision) for precision in job.precisions):
            quantized = calibrated(model, job, windows, folder, manifest, stage)
        for precision in job.precisions:
            graph = graph_of(precision, model, quantized, job.recipe.fp16.keep)
            disabled = ORT_DISABLED_OPTIMIZERS if is_quantized(precision) else NOTHING_DISABLED
            file = folder / f"{network.name}_{precision}.onnx"
            save_graph(graph, metadata(precision=precision, ort_disabled_optimizers=disabled), file)
            manifest["graphs"][precision] = {
                "file": file.name,
                "opset": opset_of(graph),
                "nodes": len(graph.graph.node),
                "bytes": file.stat().st_size,
                "float32_nodes": float32_nodes(graph),  # for run.py, which has no onnx to find them with
            }
        prove(job, reference, test, folder, manifest, stage)
        save_samples(reference, windows[:SAMPLE_WINDOWS], job.flip, folder / SAMPLES)
        (folder / "run.py").write_text(run_py(), encoding="utf-8")
    return manifest


def describe(job: Export, network: LiftingNetwork, windows: Float32Array) -> dict[str, Any]:
    """Return the manifest as far as it is known beforehand."""
    versions = {"poseedge": poseedge.__version__, "python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES}
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": network.name,
        "config": network.config,
        "frames": network.frames,
        "channels": network.in_channels,  # of a keypoint: u, v, and a confidence if there are three
        "output_frames": list(network.output_frames),
        "flip": job.flip,
        "parameters": sum(p.numel() for p in network.parameters()),
        "checkpoint": {
            "file": job.checkpoint.name if job.bundled else str(job.checkpoint.resolve()),
            "bundled": job.bundled,
            "sha256": sha256_of(job.checkpoint),
        },
        "recipe": job.recipe.model_dump(mode="json"),
        "target": {"name": job.target_name, "opset": job.target.opset},
        "calibration": {"windows": len(windows), "sha256": digest(windows)},
        "versions": versions,
        "samples": SAMPLES,
        "limits": job.recipe.limits,
        "graphs": {},
        "parity": {},
    }


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


def is_quantized(precision: str) -> bool:
    """Say whether graphs of ``precision`` hold Q/DQ."""
    return precision.startswith("int8")


def graph_of(precision: str, model: onnx.ModelProto, quantized: onnx.ModelProto, keep: list[str]) -> onnx.ModelProto:
    """Return the graph of ``precision``, of the float32 graph and the INT8 one; ``keep`` is the recipe's for FP16."""
    if precision == "fp16":
        return to_fp16(model, keep)
    if precision == "int8-fp16":
        return to_int8_fp16(quantized, model, keep)
    return quantized if precision == "int8" else model


def calibrated(
    model: onnx.ModelProto, job: Export, windows: Float32Array, folder: Path, manifest: dict[str, Any], stage: Stage
) -> onnx.ModelProto:
    """Return the INT8 graph; its ranges go into ``folder``, and the manifest learns which layers took INT8."""
    int8 = job.recipe.int8
    placement = place(model, int8.keep, int8.two_step if job.steady else [], int8.level)
    if not placement.layers:
        raise PoseedgeError(f"no layer of {job.recipe.model} takes INT8", "loosen int8.keep in the recipe, or leave int8 out")
    with stage("calibrate INT8", len(windows) * passes(int8.calibration)) as advance:
        found = cached(model, placement, windows, int8.calibration, int8.migrate, lambda: advance(1))
    (folder / RANGES).write_text(json.dumps(found))
    manifest["calibration"] |= {"layers": sorted(placement.layers), "two_step": placement.two_step_names, "ranges": RANGES}
    return quantize(model, placement, read_ranges(found))


def prove(job: Export, reference: Lifter, test: PoseDataset, folder: Path, manifest: dict[str, Any], stage: Stage) -> None:
    """Compare every precision with the PyTorch network on the test subjects; results go into the manifest."""
    total = sum(len(range(0, len(s), job.every)) for s in test.sequences)

    def run(lifter: Lifter, label: str) -> list[Prediction]:
        with stage(f"parity: {label}", total) as advance:
            return predict(lifter, test, job.flip, job.every, advance)

    wanted = run(reference, "PyTorch")
    manifest["dataset"] = {"name": test.name, "keypoints": test.keypoints, "frames": total, "every": job.every}
    manifest["reference"] = short_score(wanted, job.every)
    manifest["warnings"] = doubts(wanted, error_in_recipe(job.recipe, job.checkpoint, test))
    for precision in job.precisions:
        lifter = OnnxLifter(folder / str(manifest["graphs"][precision]["file"]))
        found = run(lifter, precision)
        limits = manifest["limits"].get(precision)
        between = parity(found, wanted, Limits(**limits) if limits else None, job.every)
        manifest["parity"][precision] = {**short_score(found, job.every), "against_reference": between}


def short_score(predictions: list[Prediction], every: int) -> Mapping[str, Any]:
    """Return the scalars of ``score``."""
    return {key: value for key, value in score(predictions, every).items() if key.endswith("_mm") and key != "by_joint_mm"}


def save_samples(reference: Lifter, windows: Float32Array, flip: bool, path: Path) -> None:
    """Write windows and the PyTorch network's poses for the device to check itself against."""
    poses = np.concatenate([lift(reference, window[None], flip) for window in windows])
    np.savez(path, keypoints=windows, poses_m=poses)
