"""PyTorch module to ONNX graph, and the simplifier, which is never trusted."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from poseedge.errors import PoseedgeError
from poseedge.graph.graph import run_graph, store_constants
from poseedge.skeleton import NUM_JOINTS

NEWEST_TRACED = 20  # the last opset that the tracing exporter writes
INPUT, OUTPUT = "keypoints", "joints"
SIMPLIFY_SECONDS = 300.0
SIMPLIFIED_TOLERANCE = 1e-4  # metres, on random keypoints

# Linear layers stay MatMul + Add: ONNX Runtime builds its own Gemm, and Q/DQ needs the product alone. Queries, keys and
# values stay what the fold made of them: joined, they would be copied apart again, under a name that says nothing.
_SIMPLIFY = """
import sys, onnx, onnxsim
model, same = onnxsim.simplify(onnx.load(sys.argv[1]), skipped_optimizers=["fuse_matmul_add_bias_into_gemm", "fuse_qkv"])
onnx.save(model, sys.argv[2])
sys.exit(0 if same else 3)
"""


def trace(module: nn.Module, frames: int, channels: int, opset: int, free_batch: bool) -> onnx.ModelProto:
    """Export ``module`` by running it once; the result is one self-contained graph at exactly ``opset``.

    The tracing exporter is used because it writes opset 13 to 20 directly: the graph-capture exporter writes 18 at the
    least and converts down afterwards, which fails silently where LayerNormalization is involved.
    """
    example = torch.zeros(1, frames, NUM_JOINTS, channels)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter announces its own deprecation and traces Python sizes
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            module,
            (example,),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}} if free_batch else None,
        )
        model = onnx.load(path)
    found = {entry.domain: entry.version for entry in model.opset_import}
    if found.get("") != opset or set(found) - {""}:
        raise PoseedgeError(f"the exporter wrote opsets {found} instead of standard opset {opset}")
    fold_constants(model)
    return model


def fold_constants(model: onnx.ModelProto) -> None:
    """Replace every node that reads constants alone by its result; ``model`` is edited.

    The simplifier would do it, but version 0.7.3, the newest for Python 3.10, gets the shape arithmetic of a Pad wrong.
    """
    store_constants(model)
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for node in list(model.graph.node):
        shared = node.op_type == "Identity"  # the exporter's way to store equal weights once
        if node.input and not shared and all(name in known or not name for name in node.input):
            inputs = {name: known[name] for name in node.input if name}
            for name, value in zip(node.output, ReferenceEvaluator(node, opsets=opsets).run(None, inputs), strict=True):
                known[name] = np.asarray(value)
                model.graph.initializer.append(numpy_helper.from_array(known[name], name))
            model.graph.node.remove(node)


def simplify(model: onnx.ModelProto, seconds: float = SIMPLIFY_SECONDS) -> tuple[onnx.ModelProto, str]:
    """Return the simplified graph and an empty note, or the graph as it was and the reason.

    onnxsim runs in a process of its own, under a time limit, and its result must compute what the input graph does.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(model, before)
        try:
            command = [sys.executable, "-c", _SIMPLIFY, str(before), str(after)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return model, f"onnxsim gave no result within {seconds:g} s"
        if done.returncode or not after.is_file():
            last = (done.stderr.strip() or "no message").split("\n")[-1]
            return model, f"onnxsim failed with status {done.returncode}: {last}"
        try:
            simplified = onnx.load(after)
            difference = largest_difference(model, simplified)
        except Exception as error:  # protobuf and ONNX Runtime raise types of their own
            first = str(error).split("\n")[0]
            return model, f"onnxsim wrote no usable graph: {first}"
    if not difference <= SIMPLIFIED_TOLERANCE:
        return model, f"onnxsim changed the result by {difference:.2e} m"
    store_constants(simplified)
    return simplified, ""


def largest_difference(one: onnx.ModelProto, other: onnx.ModelProto) -> float:
    """Return the largest absolute difference of two graphs' outputs on random keypoints, metres."""
    shape = [d.dim_value or 2 for d in one.graph.input[0].type.tensor_type.shape.dim]
    keypoints = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    return float(np.abs(run_graph(one, keypoints) - run_graph(other, keypoints)).max())
