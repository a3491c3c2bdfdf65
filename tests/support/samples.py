"""Small artefacts to measure: a checkpoint, a graph, a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.bench.report import Row
from poseedge.bundle.writing import write_bundle
from poseedge.files import sha256_of
from poseedge.graph.metadata import GraphMetadata
from poseedge.models.checkpoints import save_checkpoint
from tests.support import golden

FRAMES = 5
PARITY = {
    "fp32": {"mpjpe_mm": 39.01, "against_reference": {"delta_mpjpe_mm": 0.01}},
    "int8": {"mpjpe_mm": 39.4, "against_reference": {"delta_mpjpe_mm": 0.4}},
}


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


def bundle(folder: Path, source: Path, **manifest: Any) -> Path:
    """Write a bundle of two graphs that says it was made from ``source``."""
    with write_bundle(folder, {**bundle_manifest(source), **manifest}) as inside:
        for precision in PARITY:
            lifting_graph(inside / f"{precision}.onnx", precision)
    return folder


def bundle_manifest(source: Path) -> dict[str, Any]:
    """Return what an export writes of two graphs, as far as a reader of bundles looks."""
    return {
        "model": "nanohtnet",
        "parameters": 1234,
        "target": {"name": "default", "opset": 17},
        "checkpoint": {"file": str(source), "bundled": False, "sha256": sha256_of(source)},
        "limits": {},
        "graphs": {precision: {"file": f"{precision}.onnx"} for precision in PARITY},
        "parity": PARITY,
        "reference": {"mpjpe_mm": 39.0},
    }


def row(p50: float, backend: str = "onnxruntime", precision: str = "fp32", calls: int = 800, **changes: Any) -> Row:
    """Return a report row with the median ``p50``."""
    latency = {"p50": p50, "p90": p50, "p99": p50, "mean": p50, "std": 0.0, "n": calls}
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
    return Row(latency_ms=latency, backend=backend, precision=precision, **{**usual, **changes})
