"""PyTorch module to ONNX graph, and the simplifier, which is never trusted."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from poseedge.caches import NEXT, Size
from poseedge.errors import PoseedgeError
from poseedge.graph.forgetting import forgetting
from poseedge.graph.graph import Graph
from poseedge.skeleton import NUM_JOINTS

NEWEST_TRACED = 20  # the last opset that the tracing exporter writes
INPUT, OUTPUT = "keypoints", "joints"
SIMPLIFY_SECONDS = 300.0
SIMPLIFIED_TOLERANCE = 1e-4  # metres

# Linear layers stay MatMul + Add: ONNX Runtime builds its own Gemm, and Q/DQ needs the product alone. Queries, keys and
# values stay what the fold made of them: joined, they would be copied apart again, under a name that says nothing.
# Importing onnxsim imports PyTorch where it finds it, which takes seconds and is not needed.
_SIMPLIFY = """
import sys
sys.modules["torch"] = None
import onnx, onnxsim
model, same = onnxsim.simplify(onnx.load(sys.argv[1]), skipped_optimizers=["fuse_matmul_add_bias_into_gemm", "fuse_qkv"])
onnx.save(model, sys.argv[2])
sys.exit(0 if same else 3)
"""


def trace(module: nn.Module, frames: int, channels: int, opset: int, free_batch: bool) -> Graph:
    """Export ``module`` by running it once; the result is one self-contained graph at exactly ``opset``.

    The tracing exporter is used because it writes opset 13 to 20 directly: the graph-capture exporter writes 18 at the
    least and converts down afterwards, which fails silently where LayerNormalization is involved.
    """
    return written(module, {INPUT: (1, frames, NUM_JOINTS, channels)}, [OUTPUT], opset, free_batch)


def trace_stream(module: nn.Module, channels: int, caches: Mapping[str, Size], opset: int) -> Graph:
    """Export a network's streaming form: a frame and ``caches`` in, a pose and the caches for the next frame out."""
    inputs = {INPUT: (1, 1, NUM_JOINTS, channels), **caches}
    return written(module, inputs, [OUTPUT, *(f"{name}{NEXT}" for name in caches)], opset, False)


def written(module: nn.Module, inputs: Mapping[str, tuple[int, ...]], outputs: list[str], opset: int, free_batch: bool) -> Graph:
    """Run the exporter; ``inputs``: their shapes by name."""
    example = tuple(torch.zeros(shape) for shape in inputs.values())
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad(), forgetting(module):
        warnings.simplefilter("ignore")  # the exporter announces its own deprecation and traces Python sizes
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            module,
            example,
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}} if free_batch else None,
        )
        graph = Graph(onnx.load(path))
    found = opsets(graph)
    if found.get("") != opset or set(found) - {""}:
        raise PoseedgeError(f"the exporter wrote opsets {found} instead of standard opset {opset}")
    fold_constants(graph)
    return graph


def fold_constants(graph: Graph) -> None:
    """Replace every node that reads constants alone by its result; ``graph`` is edited.

    The simplifier would do it, but version 0.7.3, the newest for Python 3.10, gets the shape arithmetic of a Pad wrong.
    """
    graph.store_constants()
    for node in list(graph.nodes):
        shared = node.op_type == "Identity"  # the exporter's way to store equal weights once
        if node.input and not shared and all(name in graph.stored or not name for name in node.input):
            inputs = {name: graph.value(name) for name in node.input if name}
            results = ReferenceEvaluator(node, opsets=opsets(graph)).run(None, inputs)
            graph.remove(node)
            for name, value in zip(node.output, results, strict=True):
                graph.add_constant(name, np.asarray(value))


def opsets(graph: Graph) -> dict[str, int]:
    """Return the versions of the operator sets that ``graph`` imports."""
    return {entry.domain: entry.version for entry in graph.proto.opset_import}


def simplify(
    graph: Graph, seconds: float = SIMPLIFY_SECONDS, difference_of: Callable[[Graph], float] | None = None
) -> tuple[Graph, str]:
    """Return the simplified graph and an empty note, or the graph as it was and the reason.

    onnxsim runs in a process of its own, under a time limit, and its result must compute what the input graph does on random
    keypoints; or be as near to something else as ``difference_of`` it says, in metres.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(graph.proto, before)
        try:
            command = [sys.executable, "-c", _SIMPLIFY, str(before), str(after)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return graph, f"onnxsim gave no result within {seconds:g} s"
        if done.returncode or not after.is_file():
            last = (done.stderr.strip() or "no message").split("\n")[-1]
            return graph, f"onnxsim failed with status {done.returncode}: {last}"
        try:
            simplified = Graph.load(after)
            difference = difference_of(simplified) if difference_of else largest_difference(graph, simplified)
        except Exception as error:  # protobuf and ONNX Runtime raise types of their own
            first = str(error).split("\n")[0]
            return graph, f"onnxsim wrote no usable graph: {first}"
    if not difference <= SIMPLIFIED_TOLERANCE:
        return graph, f"onnxsim changed the result by {difference:.2e} m"
    simplified.store_constants()
    return simplified, ""


def largest_difference(one: Graph, other: Graph) -> float:
    """Return the largest absolute difference of two graphs' outputs on random keypoints, metres; caches count with the poses."""
    rng, given = np.random.default_rng(0), {}
    for value in one.proto.graph.input:
        shape = [d.dim_value or 2 for d in value.type.tensor_type.shape.dim]
        given[value.name] = rng.uniform(-1, 1, shape).astype(np.float32)
    pairs = zip(one.run_all(given), other.run_all(given), strict=True)
    return max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
