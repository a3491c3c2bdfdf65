"""What a build tells of a graph, as findings."""

from __future__ import annotations

import math

from onnx import TensorProto, helper

from poseedge.graph.graph import Graph
from poseedge.graph.nodes import FLOATS
from poseedge.targets.aot.compiler import Compiled
from poseedge.targets.preflight.rules import Finding

SOURCE = "NVIDIA TensorRT-RTX, built here ahead of time"
LOST = 0.5  # of what INT8 saves


def verdict(graph: Graph, compiled: Compiled) -> list[Finding]:
    """Return what stands against the graph after the build."""
    source = f"{SOURCE} for {compiled.architecture}"
    if compiled.error:
        return [
            Finding("compile", "error", "", f"NVIDIA's compiler refuses it: {compiled.error}", "see the other findings", source)
        ]
    fix = "write them with operators that TensorRT reads"
    found = [Finding("compile-outside", "error", node, "this node is in no engine", fix, source) for node in compiled.outside]
    small, saved = weight_bytes(graph), 3 * quantized_elements(graph)
    if compiled.weight_bytes - small > LOST * saved > 0:
        sizes = f"{compiled.weight_bytes / 1e6:.2f} MB of weights, of {small / 1e6:.2f} MB in the quantized graph"
        message = f"the engine keeps {sizes}: TensorRT has folded INT8 weights back to float"
        fix = "leave biases float (QuantizeBias=False), or write Gemm as MatMul and Add; poseedge export does both"
        found.append(Finding("compile-weights", "warning", "", message, fix, source))
    return found


def weight_bytes(graph: Graph) -> int:
    """Return the bytes of the graph's weights in the types that they are computed in: one each behind QuantizeLinear."""
    total = 0
    for name, tensor in graph.stored.items():
        if tensor.data_type in FLOATS | {TensorProto.INT8}:
            size = 1 if _is_quantized(graph, name) else helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
            total += math.prod(tensor.dims) * size
    return total


def quantized_elements(graph: Graph) -> int:
    """Return how many weights are INT8, stored so or behind QuantizeLinear."""
    return sum(math.prod(tensor.dims) for name, tensor in graph.stored.items() if _is_quantized(graph, name))


def _is_quantized(graph: Graph, name: str) -> bool:
    readers = (node for node in graph.readers[name] if node.op_type in ("QuantizeLinear", "DequantizeLinear"))
    return any(node.input[0] == name for node in readers)
