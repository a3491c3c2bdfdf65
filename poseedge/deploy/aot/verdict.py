"""What a build tells of a graph, as findings."""

from __future__ import annotations

import math

from onnx import TensorProto, helper

from poseedge.deploy.aot.compiler import Compiled
from poseedge.deploy.preflight.rules import Finding
from poseedge.deploy.preflight.view import FLOATS, View

SOURCE = "NVIDIA TensorRT-RTX, built here ahead of time"
SPARE = 1.25  # engine weights against those of the file


def verdict(view: View, compiled: Compiled) -> list[Finding]:
    """Return what stands against the graph after the build."""
    source = f"{SOURCE} for {compiled.architecture}"
    if compiled.error:
        return [
            Finding("compile", "error", "", f"NVIDIA's compiler refuses it: {compiled.error}", "see the other findings", source)
        ]
    fix = "write them with operators that TensorRT reads"
    found = [Finding("compile-outside", "error", node, "this node is in no engine", fix, source) for node in compiled.outside]
    stored = weight_bytes(view)
    if view.quantized and compiled.weight_bytes > SPARE * stored:
        sizes = f"{compiled.weight_bytes / 1e6:.2f} MB of weights, of {stored / 1e6:.2f} MB in the quantized graph"
        message = f"the engine keeps {sizes}: TensorRT has folded INT8 weights back to float"
        fix = "leave biases float (QuantizeBias=False), or write Gemm as MatMul and Add; poseedge export does both"
        found.append(Finding("compile-weights", "warning", "", message, fix, source))
    return found


def weight_bytes(view: View) -> int:
    """Return the bytes of the graph's weights in the types that they are computed in: one each behind QuantizeLinear."""
    total = 0
    for name, tensor in view.stored.items():
        quantized = any(node.op_type == "QuantizeLinear" and node.input[0] == name for node in view.readers[name])
        if quantized or tensor.data_type in FLOATS | {TensorProto.INT8}:
            size = 1 if quantized else helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
            total += math.prod(tensor.dims) * size
    return total
