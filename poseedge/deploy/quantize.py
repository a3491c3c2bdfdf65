"""INT8 as TensorRT reads it: explicit Q/DQ, symmetric, per-channel weights, and only where it pays.

A quantized layer reads its input through QuantizeLinear and DequantizeLinear, and its weight, stored as INT8, through
DequantizeLinear. Biases, norms, attention products and constants on the left stay float; so does every other reader of
a quantized tensor, which keeps residual paths exact.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.deploy.graph import initializers, linear_layers, matches
from poseedge.errors import PoseedgeError

QMAX = 127.0
SMALLEST = 16  # TensorRT's INT8 kernels need K and N of at least this; below, Q/DQ only slows the layer down

# What an INT8 file needs on ONNX Runtime: a Gemm built from MatMul + Add would dequantize its weights at every call.
ORT_DISABLED_OPTIMIZERS = ("MatMulAddFusion",)


def quantizable_layers(model: onnx.ModelProto, keep: list[str]) -> dict[str, onnx.NodeProto]:
    """Return the layers that take INT8, by name.

    Left out: layers that match a pattern in ``keep``, those narrower than 16, and, by structure, the first layer on
    every path from the input (raw coordinates need more than 8 bits) and the last before the output (metres do too).
    """
    layers = linear_layers(model)
    for pattern in keep:
        if not any(matches(name, [pattern]) for name in layers):
            raise PoseedgeError(f"no layer matches {pattern!r}", f"layers: {', '.join(layers)}")
    dims = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    outer = {node.output[0] for node in (*first_layers(model, layers), *last_layers(model, layers))}
    return {
        name: node
        for name, node in layers.items()
        if node.output[0] not in outer and min(dims[node.input[1]]) >= SMALLEST and not matches(name, keep)
    }


def first_layers(model: onnx.ModelProto, layers: Mapping[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the layers that some path from the graph's input reaches before any other layer."""
    linear = {node.output[0] for node in layers.values()}
    raw = {value.name for value in model.graph.input}
    found = []
    for node in model.graph.node:
        if raw.intersection(node.input):
            if node.output[0] in linear:
                found.append(node)
            else:
                raw.update(node.output)
    return found


def last_layers(model: onnx.ModelProto, layers: Mapping[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the layers from which some path reaches the graph's output without another layer."""
    linear = {node.output[0] for node in layers.values()}
    final = {value.name for value in model.graph.output}
    found = []
    for node in reversed(model.graph.node):
        if final.intersection(node.output):
            if node.output[0] in linear:
                found.append(node)
            else:
                final.update(node.input)
    return found


def quantize(model: onnx.ModelProto, layers: Mapping[str, onnx.NodeProto], ranges: Mapping[str, float]) -> onnx.ModelProto:
    """Return a copy of ``model`` with the ``layers`` in INT8; ``ranges`` holds the largest absolute value of their inputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    weights = initializers(copy)
    chosen = {node.output[0] for node in layers.values()}
    nodes: list[onnx.NodeProto] = []
    rewritten: dict[str, str] = {}  # float tensor or weight -> its dequantized twin
    added: list[TensorProto] = []
    for node in copy.graph.node:
        if node.output[0] in chosen:
            source, weight = node.input[0], node.input[1]
            if source not in rewritten:
                scale = activation_scale(ranges[source], source)
                rewritten[source] = append_activation(source, scale, nodes, added)
            if weight not in rewritten:
                rewritten[weight] = append_weight(weights[weight], weight_axis(node), nodes, added)
            node.input[0], node.input[1] = rewritten[source], rewritten[weight]
        nodes.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    remaining = [tensor for tensor in copy.graph.initializer if tensor.name in used]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend([*remaining, *added])
    return copy


def activation_scale(largest: float, name: str) -> np.float32:
    """Return the step that maps ``largest`` to 127."""
    if not largest > 0:
        raise PoseedgeError(f"{name} is always zero on the calibration windows", "calibrate on real keypoints")
    return np.float32(largest / QMAX)


def weight_axis(node: onnx.NodeProto) -> int:
    """Return the axis of a layer's weight that counts output channels."""
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if node.op_type == "Gemm" and transposed else 1


def quantize_weight(weight: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return INT8 values and the scale of each output channel."""
    largest = np.abs(weight).max(axis=1 - axis, keepdims=True)
    scale = np.where(largest > 0, largest / QMAX, 1.0).astype(np.float32)
    return np.clip(np.rint(weight / scale), -QMAX, QMAX).astype(np.int8), scale.reshape(-1)


def append_activation(source: str, scale: np.float32, nodes: list[onnx.NodeProto], added: list[TensorProto]) -> str:
    """Append Q and DQ of an activation; return the dequantized tensor's name."""
    names = (source, f"{source}_scale", f"{source}_zero")
    added.append(numpy_helper.from_array(np.array(scale, np.float32), names[1]))
    added.append(numpy_helper.from_array(np.array(0, np.int8), names[2]))
    nodes.append(helper.make_node("QuantizeLinear", list(names), [f"{source}_q"], name=f"{source}_Q"))
    nodes.append(helper.make_node("DequantizeLinear", [f"{source}_q", *names[1:]], [f"{source}_dq"], name=f"{source}_DQ"))
    return f"{source}_dq"


def append_weight(weight: TensorProto, axis: int, nodes: list[onnx.NodeProto], added: list[TensorProto]) -> str:
    """Append a weight's DQ, its INT8 values and scales; return the dequantized tensor's name."""
    values, scale = quantize_weight(numpy_helper.to_array(weight), axis)
    names = [f"{weight.name}_q", f"{weight.name}_scale", f"{weight.name}_zero"]
    zero = np.zeros(len(scale), np.int8)
    added.extend(numpy_helper.from_array(array, name) for array, name in zip((values, scale, zero), names, strict=True))
    nodes.append(helper.make_node("DequantizeLinear", names, [f"{weight.name}_dq"], name=f"{weight.name}_DQ", axis=axis))
    return f"{weight.name}_dq"
