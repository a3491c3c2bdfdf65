"""Small artefacts to measure: a checkpoint, a graph, a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.bench.memory import Fresh
from poseedge.bench.results import Row, Timing
from poseedge.bundle.manifest import Description
from poseedge.bundle.writing import write_bundle
from poseedge.files import sha256_of
from poseedge.graph.metadata import GraphMetadata
from poseedge.models.checkpoints import save_checkpoint
from tests.support import golden

FRAMES = 5
MPJPE_MM = {"fp32": 39.01, "int8": 39.4}
DELTA_MM = {"fp32": 0.01, "int8": 0.4}


def model(nodes: list[onnx.NodeProto], shape: list[int | str], weights: dict[str, Any], opset: int = 17) -> onnx.ModelProto:
    """Return a graph from ``x`` to ``y``."""
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    target = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "sample", [source], [target], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def lifting_graph(path: Path, precision: str = "fp32") -> Path:
    """Write a one-product lifter of five frames, ``(B, 5, 17, 2)`` to ``(B, 5, 17, 3)``."""
    weights = {"w": np.full((2, 3), 0.5, np.float32)}
    lifter = model([helper.make_node("MatMul", ["x", "w"], ["y"])], ["batch", FRAMES, 17, 2], weights)
    metadata = GraphMetadata("sample", {}, precision, tuple(range(FRAMES)), "0" * 64, "0")
    helper.set_model_props(lifter, metadata.to_props())
    onnx.save(onnx.shape_inference.infer_shapes(lifter), path)
    return path


def checkpoint(path: Path, name: str = "nanohtnet-small") -> Path:
    """Write the checkpoint of a reference network."""
    save_checkpoint(path, golden.network(name), {})
    return path


def bundle(folder: Path, source: Path, **changes: Any) -> Path:
    """Write a bundle of two graphs that says it was made from ``source``."""

    def fill(inside: Path) -> Description:
        for precision in MPJPE_MM:
            lifting_graph(inside / f"{precision}.onnx", precision)
        return described(inside, source, **changes)

    write_bundle(folder, fill)
    return folder


def described(inside: Path, source: Path, **changes: Any) -> Description:
    """Write samples beside the graphs in ``inside``; return what an export says of them, with ``changes`` of its keys."""
    np.savez(inside / "samples.npz", keypoints=np.zeros((1, FRAMES, 17, 2), np.float32))
    held = [precision for precision in MPJPE_MM if (inside / f"{precision}.onnx").is_file()]
    usual: dict[str, Any] = {
        "created": "2026-01-01T00:00:00+00:00",
        "model": "nanohtnet",
        "config": {},
        "frames": FRAMES,
        "output_frames": list(range(FRAMES)),
        "parameters": 1234,
        "checkpoint": {"file": str(source), "bundled": False, "sha256": sha256_of(source)},
        "recipe": {},
        "target": {"name": "default", "opset": 17},
        "calibration": {"windows": 0, "sha256": "0" * 64},
        "versions": {},
        "samples": "samples.npz",
        "limits": {},
        "graphs": {precision: {"file": f"{precision}.onnx", "opset": 17, "nodes": 1, "bytes": 1} for precision in held},
        "parity": {precision: proof(MPJPE_MM[precision], DELTA_MM[precision]) for precision in held},
        "simplifier": "onnxsim",
        "dataset": {"name": "sample", "keypoints": "gt", "frames": 1, "every": 1},
        "reference": errors(39.0),
    }
    return Description.model_validate(usual | changes)


def errors(mpjpe_mm: float) -> dict[str, Any]:
    """Return the errors that an evaluation finds, as far as a test looks."""
    others = dict.fromkeys(("p_mpjpe_mm", "action_mean_mpjpe_mm", "action_mean_p_mpjpe_mm"), mpjpe_mm)
    return {"mpjpe_mm": mpjpe_mm, "mpjve_mm": None, **others}


def proof(mpjpe_mm: float, delta_mpjpe_mm: float) -> dict[str, Any]:
    """Return what a manifest says of one graph, as far as a test looks."""
    distance = {"mean": delta_mpjpe_mm, "p99": delta_mpjpe_mm, "max": delta_mpjpe_mm}
    between = {"mpjpe_mm": mpjpe_mm - delta_mpjpe_mm, "delta_mpjpe_mm": delta_mpjpe_mm, "distance_mm": distance}
    return {
        **errors(mpjpe_mm),
        "against_reference": {**between, "jitter_mm": None, "by_joint_mm": {}, "limits": None, "passed": None},
    }


def fresh() -> Fresh:
    """Return what fresh processes might tell."""
    return Fresh(peak_rss_bytes=10**8, start_ms=100.0, load_ms=20.0, first_ms=2.0, total_ms=125.0, n=3)


def row(p50: float, backend: str = "onnxruntime", precision: str = "fp32", calls: int = 800, **changes: Any) -> Row:
    """Return a report row with the median ``p50``."""
    usual: dict[str, Any] = {
        "artefact": f"build/{precision}.onnx",
        "model": "sample",
        "provider": "CPU",
        "batch": 1,
        "threads": 1,
        "frames_in": FRAMES,
        "frames_out": FRAMES,
        "latency_evicted_ms": None,
        "flops": 2_000_000,
        "flops_without_attention": 1_500_000,
        "params": 1234,
        "nodes": 1,
        "file_bytes": 100,
        "peak_rss_bytes": 10**8,
        "mpjpe_mm": None,
        "delta_mpjpe_mm": None,
    }
    usual |= {"latency_ms": Timing(p50=p50, p90=p50, p99=p50, mean=p50, std=0.0, n=calls)}
    return Row.model_validate({**usual, "backend": backend, "precision": precision, **changes})
