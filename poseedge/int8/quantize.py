"""INT8 as TensorRT reads it: explicit Q/DQ, symmetric, per-channel weights, and only where ``placement`` says.

A quantized layer reads its input through QuantizeLinear and DequantizeLinear, and its weight, stored as INT8, through
DequantizeLinear. Biases, norms and constants on the left stay float; so does every other reader of a quantized tensor,
which keeps residual paths exact.

Each channel is centred before it is rounded (``ranges``): in the norm's own bias where a norm stands before, else by an
addition. What that takes away from the product, ``offset @ W``, is compensated in the layer's bias, together with the mean
error that the rounded weight makes. In float arithmetic the graph stays the same.

Rounding an activation anew in every window makes joints jitter, which no calibration mends. A layer that matters may
therefore read its input in two steps: rounded, and then what the rounding left, rounded with a 254th of the step. Both
products take the same INT8 weight, so the file does not grow; only the weight's rounding remains, which is smooth.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.arrays import AnyArray, Float32Array, Float64Array
from poseedge.graph.graph import consumers, initializers
from poseedge.int8.placement import Placement, has_bias, plain_key
from poseedge.int8.ranges import QMAX, Ranges

FINER = 254.0  # the second step is this much finer: what rounding leaves, half a step each way, fills all 8 bits

# What an INT8 file needs on ONNX Runtime: a Gemm built from MatMul + Add would dequantize its weights at every call.
ORT_DISABLED_OPTIMIZERS = ("MatMulAddFusion",)


def quantize(model: onnx.ModelProto, placement: Placement, ranges: Ranges) -> onnx.ModelProto:
    """Return a copy of ``model`` with what ``placement`` names in INT8; ``ranges`` are those of its tensors."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    rewriter = _Rewriter(copy, placement, ranges)
    for node in copy.graph.node:
        rewriter.take(node)
    del copy.graph.node[:]
    copy.graph.node.extend(rewriter.nodes)
    used = {name for node in rewriter.nodes for name in node.input}
    kept = [tensor for tensor in copy.graph.initializer if tensor.name in used]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend([*kept, *rewriter.added])
    return copy


def weight_axis(node: onnx.NodeProto) -> int:
    """Return the axis of a layer's weight that counts output channels."""
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if node.op_type == "Gemm" and transposed else 1


def quantize_weight(weight: Float32Array, axis: int) -> tuple[npt.NDArray[np.int8], Float32Array]:
    """Return INT8 values and the scale of each output channel."""
    largest = np.abs(weight).max(axis=1 - axis, keepdims=True)
    scale = np.where(largest > 0, largest / QMAX, 1.0).astype(np.float32)
    return np.clip(np.rint(weight / scale), -QMAX, QMAX).astype(np.int8), scale.reshape(-1)


@dataclass
class _Rewriter:
    """Copies a graph's nodes in order, with Q/DQ around the chosen ones."""

    model: onnx.ModelProto
    placement: Placement
    ranges: Ranges
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    added: list[TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weights = {name: numpy_helper.to_array(tensor) for name, tensor in initializers(self.model).items()}
        self.readers = consumers(self.model)
        self.chosen = {node.output[0] for node in self.placement.layers.values()}
        self.centered: dict[str, str] = {}  # float tensor -> its centred twin
        self.rounded: dict[str, str] = {}  # float tensor -> its dequantized twin, by key
        self.remainders: dict[str, str] = {}  # float tensor -> what rounding left of it, dequantized
        self.corrections: dict[str, Float64Array] = {}  # output of a layer -> what its bias must add
        self.dequantized: dict[tuple[str, str], str] = {}  # weight and the input that it is divided for -> its dequantized twin

    def take(self, node: onnx.NodeProto) -> None:
        """Append ``node``, rewritten where it must be."""
        if node.output[0] in self.chosen:
            self.append_layer(node)
            return
        for number in self.placement.others.get(node.output[0], ()):
            key = plain_key(node.input[number])
            if key not in self.rounded:
                self.rounded[key] = self.append_pair(key, node.input[number], self.ranges[key].step)
            node.input[number] = self.rounded[key]
        if node.op_type == "Add" and self.corrections:
            self.correct_bias(node)
        self.nodes.append(node)
        if (node.output[0], "norm") == self.placement.tensors.get(node.output[0]):
            self.center_norm(node)

    def center_norm(self, node: onnx.NodeProto) -> None:
        """Let a norm's gain and bias divide and centre its output."""
        source = node.output[0]
        activation = self.ranges[source]
        bias = self.weights[node.input[2]] if len(node.input) == 3 else np.zeros(len(activation.offset))
        gain = self.constant(f"{source}_gain", (self.weights[node.input[1]] / activation.divisor).astype(np.float32))
        shift = self.constant(f"{source}_bias", ((bias - activation.offset) / activation.divisor).astype(np.float32))
        del node.input[1:]
        node.input.extend([gain, shift])
        self.centered[source] = source

    def center(self, source: str) -> str:
        """Return the centred twin of a tensor; append the addition that makes it where no norm did."""
        if source not in self.centered:
            self.centered[source] = source
            offset = self.ranges[source].offset
            if offset.any():
                self.centered[source] = f"{source}_centered"
                inputs = [source, self.constant(f"{source}_offset", (-offset).astype(np.float32))]
                self.nodes.append(helper.make_node("Add", inputs, [self.centered[source]], name=f"{source}_center"))
        return self.centered[source]

    def append_layer(self, node: onnx.NodeProto) -> None:
        """Append a layer that reads INT8, and remember what its bias must compensate."""
        source, weight = node.input[0], node.input[1]
        activation, axis = self.ranges[source], weight_axis(node)
        if source not in self.rounded:
            self.rounded[source] = self.append_pair(source, self.center(source), activation.step)
        exact = self.weights[weight].astype(np.float64)
        scaled = exact * (activation.divisor if axis == 0 else activation.divisor[:, None])
        values, scales = quantize_weight(scaled.astype(np.float32), axis)
        rounded = values * (scales.astype(np.float64)[:, None] if axis == 0 else scales)
        if axis == 0:
            exact, scaled, rounded = exact.T, scaled.T, rounded.T
        mean = (activation.mean - activation.offset) / activation.divisor
        correction = activation.offset @ exact - mean @ (rounded - scaled)
        divided = (weight, source if (activation.divisor != 1).any() else "")
        if divided not in self.dequantized:
            name = weight if all(known != weight for known, _ in self.dequantized) else f"{weight}_{len(self.dequantized)}"
            self.dequantized[divided] = self.append_weight(name, values, scales, axis)
        node.input[0], node.input[1] = self.rounded[source], self.dequantized[divided]
        if node.op_type == "Gemm":
            self.correct_gemm(node, correction)
        elif has_bias(node.output[0], self.readers, self.weights):
            self.corrections[node.output[0]] = correction
        elif activation.offset.any():
            self.append_bias(node, source, correction)
            return
        self.append_product(node, source)

    def append_product(self, node: onnx.NodeProto, source: str) -> None:
        """Append a layer's product; where the input has two steps, it is the sum of two."""
        output = node.output[0]
        if output.removesuffix("_product") not in self.placement.two_step:
            self.nodes.append(node)
            return
        parts = [f"{output}_rounded", f"{output}_left"]
        inputs = [self.remainder(source), node.input[1]]  # a Gemm's bias is added once
        second = helper.make_node(node.op_type, inputs, parts[1:], name=f"{node.name}_left")
        second.attribute.extend(node.attribute)
        node.output[0] = parts[0]
        self.nodes += [node, second, helper.make_node("Add", parts, [output], name=f"{output}_both")]

    def remainder(self, source: str) -> str:
        """Return what rounding a tensor leaves of it, rounded more finely; appended where it is first read."""
        if source not in self.remainders:
            left = f"{source}_left"
            inputs = [self.centered[source], self.rounded[source]]
            self.nodes.append(helper.make_node("Sub", inputs, [left], name=left))
            self.remainders[source] = self.append_pair(left, left, np.float32(self.ranges[source].step / FINER))
        return self.remainders[source]

    def correct_bias(self, node: onnx.NodeProto) -> None:
        """Put a layer's correction into the bias that follows it."""
        for place, other in ((0, 1), (1, 0)):
            correction = self.corrections.pop(node.input[place], None)
            if correction is not None:
                bias = self.weights[node.input[other]] + correction
                node.input[other] = self.constant(f"{node.output[0]}_bias", bias.astype(np.float32))

    def correct_gemm(self, node: onnx.NodeProto, correction: Float64Array) -> None:
        """Put a Gemm's correction into its own bias."""
        bias = self.weights[node.input[2]] if len(node.input) == 3 else np.zeros(1)
        name = self.constant(f"{node.output[0]}_bias", (bias + correction).astype(np.float32))
        del node.input[2:]
        node.input.append(name)

    def append_bias(self, node: onnx.NodeProto, source: str, correction: Float64Array) -> None:
        """Append a layer that had no bias, with its correction as one."""
        output = node.output[0]
        node.output[0] = f"{output}_product"
        bias = self.constant(f"{output}_bias", correction.astype(np.float32))
        self.append_product(node, source)
        self.nodes.append(helper.make_node("Add", [f"{output}_product", bias], [output], name=f"{output}_correct"))

    def append_pair(self, name: str, source: str, step: np.float32) -> str:
        """Append Q and DQ of an activation; return the dequantized tensor's name."""
        pair = [self.constant(f"{name}_scale", np.array(step)), self.constant(f"{name}_zero", np.array(0, np.int8))]
        self.nodes += [
            helper.make_node("QuantizeLinear", [source, *pair], [f"{name}_q"], name=f"{name}_Q"),
            helper.make_node("DequantizeLinear", [f"{name}_q", *pair], [f"{name}_dq"], name=f"{name}_DQ"),
        ]
        return f"{name}_dq"

    def append_weight(self, name: str, values: npt.NDArray[np.int8], scales: Float32Array, axis: int) -> str:
        """Append the DQ of a weight; return the dequantized tensor's name."""
        arrays: dict[str, AnyArray] = {
            f"{name}_q": values,
            f"{name}_scale": scales,
            f"{name}_zero": np.zeros(len(scales), np.int8),
        }
        inputs = [self.constant(key, array) for key, array in arrays.items()]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_dq"], name=f"{name}_DQ", axis=axis))
        return f"{name}_dq"

    def constant(self, name: str, value: AnyArray) -> str:
        """Add a constant and return its name; existing ones are never edited, since others may read them."""
        self.added.append(numpy_helper.from_array(value, name))
        return name
