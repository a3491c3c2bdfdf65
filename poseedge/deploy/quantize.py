"""INT8 as TensorRT reads it: explicit Q/DQ, symmetric, per-channel weights, and only where it pays.

A quantized layer reads its input through QuantizeLinear and DequantizeLinear, and its weight, stored as INT8, through
DequantizeLinear. Biases, norms, attention products and constants on the left stay float; so does every other reader of
a quantized tensor, which keeps residual paths exact.

TensorRT takes symmetric activations alone, but these are not: after GELU all eight bits but one would go to one side.
So each channel is centred first (``x - offset``, in the norm's own bias where a norm stands before), and what that
takes away from the product, ``offset @ W``, is given back in the layer's bias, together with the mean error that the
rounded weight makes. In float arithmetic the graph stays the same.

Rounding an activation anew in every window makes joints jitter, which no calibration mends. A layer that matters may
therefore read its input in two steps: rounded, and then what the rounding left, rounded with a 254th of the step. Both
products take the same INT8 weight, so the file does not grow; only the weight's rounding remains, which is smooth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.deploy.calibration import ChannelStatistics
from poseedge.deploy.graph import consumers, initializers, linear_layers, matches
from poseedge.errors import PoseedgeError

Floats = npt.NDArray[np.float64]

QMAX = 127.0
FINER = 254.0  # the second step is this much finer: what rounding leaves, half a step each way, fills all 8 bits
WORTHWHILE = 1.3  # how much finer centring must make the step where it costs an operator
SMALLEST = 16  # TensorRT's INT8 kernels need K and N of at least this; below, Q/DQ only slows the layer down

# What an INT8 file needs on ONNX Runtime: a Gemm built from MatMul + Add would dequantize its weights at every call.
ORT_DISABLED_OPTIMIZERS = ("MatMulAddFusion",)


def quantizable_layers(model: onnx.ModelProto, keep: list[str]) -> dict[str, onnx.NodeProto]:
    """Return the layers that take INT8, by name.

    Left out: layers that match a pattern in ``keep``, those narrower than 16, and, by structure, the first layer on
    every path from the input (raw coordinates need more than 8 bits) and the last before the output (metres do too).
    """
    layers = linear_layers(model)
    kept = matching(layers, keep)
    dims = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    outer = {node.output[0] for node in (*first_layers(model, layers), *last_layers(model, layers))}
    return {
        name: node
        for name, node in layers.items()
        if node.output[0] not in outer and min(dims[node.input[1]]) >= SMALLEST and name not in kept
    }


def matching(layers: Mapping[str, onnx.NodeProto], patterns: list[str]) -> list[str]:
    """Return the names of the layers that match; raises ``PoseedgeError`` for a pattern that none does."""
    for pattern in patterns:
        if not any(matches(name, [pattern]) for name in layers):
            raise PoseedgeError(f"no layer matches {pattern!r}", f"layers: {', '.join(layers)}")
    return [name for name in layers if matches(name, patterns)]


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


def quantize(
    model: onnx.ModelProto,
    layers: Mapping[str, onnx.NodeProto],
    statistics: Mapping[str, ChannelStatistics],
    two_step: Sequence[str] = (),
) -> onnx.ModelProto:
    """Return a copy of ``model`` with the ``layers`` in INT8; ``statistics`` are those of their inputs.

    The layers named in ``two_step`` read their inputs in two steps.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    finer = {layers[name].output[0] for name in two_step}
    rewriter = _Rewriter(copy, {node.output[0] for node in layers.values()}, finer, statistics)
    for node in copy.graph.node:
        rewriter.take(node)
    del copy.graph.node[:]
    copy.graph.node.extend(rewriter.nodes)
    used = {name for node in rewriter.nodes for name in node.input}
    kept = [tensor for tensor in copy.graph.initializer if tensor.name in used]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend([*kept, *rewriter.added])
    return copy


def center(statistics: ChannelStatistics, name: str, free: bool) -> tuple[Floats, np.float32]:
    """Return each channel's offset and the step that covers all channels around theirs.

    Offsets are whole steps, so that a channel that rests at zero, as after GELU, is still represented exactly. Unless
    centring is ``free``, it must make the step a good deal finer: it costs an operator or two.
    """
    half = float((statistics.high - statistics.low).max()) / 2
    if not half > 0:
        raise PoseedgeError(f"{name} never changes on the calibration windows", "calibrate on real keypoints")
    step = np.float32(half / (QMAX - 0.5))  # half a step is left for the rounding of the offset
    offset = np.rint((statistics.high + statistics.low) / 2 / step) * step.astype(np.float64)
    largest = max(statistics.high.max(), -statistics.low.min())
    if not free and largest < WORTHWHILE * half:
        return np.zeros_like(offset), np.float32(largest / QMAX)
    return offset, step


def weight_axis(node: onnx.NodeProto) -> int:
    """Return the axis of a layer's weight that counts output channels."""
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if node.op_type == "Gemm" and transposed else 1


def quantize_weight(weight: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return INT8 values and the scale of each output channel."""
    largest = np.abs(weight).max(axis=1 - axis, keepdims=True)
    scale = np.where(largest > 0, largest / QMAX, 1.0).astype(np.float32)
    return np.clip(np.rint(weight / scale), -QMAX, QMAX).astype(np.int8), scale.reshape(-1)


@dataclass(frozen=True)
class _Quantized:
    """A float tensor as layers read it."""

    centered: str  # the tensor that is rounded
    twin: str  # what it is after Q and DQ
    step: np.float32
    offset: Floats  # what was taken from each channel before


@dataclass
class _Rewriter:
    """Copies a graph's nodes in order, with Q/DQ around the chosen ones."""

    model: onnx.ModelProto
    chosen: set[str]  # outputs of the layers to quantize
    finer: set[str]  # outputs of those that read their input in two steps
    statistics: Mapping[str, ChannelStatistics]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    added: list[TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weights = {name: numpy_helper.to_array(tensor) for name, tensor in initializers(self.model).items()}
        self.readers = consumers(self.model)
        self.quantized: dict[str, _Quantized] = {}  # by float tensor
        self.remainders: dict[str, str] = {}  # float tensor -> what rounding left of it, dequantized
        self.corrections: dict[str, Floats] = {}  # output of a layer -> what its bias must add
        self.dequantized: dict[str, str] = {}  # weight -> its dequantized twin

    def take(self, node: onnx.NodeProto) -> None:
        """Append ``node``, rewritten where it must be."""
        if node.output[0] in self.chosen:
            self.append_layer(node)
            return
        if node.op_type == "Add" and self.corrections:
            self.correct_bias(node)
        self.nodes.append(node)
        if node.op_type == "LayerNormalization" and self.serves_biased_layers_alone(node):
            self.center_norm(node)

    def serves_biased_layers_alone(self, node: onnx.NodeProto) -> bool:
        """Say whether centring a norm's output is free: its bias can take the offset, its readers' biases give it back."""
        readers = self.readers[node.output[0]]
        constant_bias = len(node.input) < 3 or node.input[2] in self.weights
        leaves = node.output[0] in {value.name for value in self.model.graph.output}
        quantized = bool(readers) and all(reader.output[0] in self.chosen for reader in readers)
        biased = all(reader.op_type == "Gemm" or self.has_bias(reader.output[0]) for reader in readers)
        return constant_bias and not leaves and quantized and biased

    def center_norm(self, node: onnx.NodeProto) -> None:
        """Let a norm's bias do the centring of its output."""
        source = node.output[0]
        offset, scale = center(self.statistics[source], source, free=True)
        bias = self.weights[node.input[2]] if len(node.input) == 3 else np.zeros(len(offset))
        name = self.constant(f"{source}_bias", (bias - offset).astype(np.float32))
        del node.input[2:]
        node.input.append(name)
        self.quantized[source] = _Quantized(source, self.append_pair(source, source, scale), scale, offset)

    def center_activation(self, source: str) -> None:
        """Append the centring of a tensor that no norm can centre, where it is worthwhile, and its Q/DQ."""
        offset, scale = center(self.statistics[source], source, free=False)
        centered = source
        if offset.any():
            centered = f"{source}_centered"
            shift = self.constant(f"{source}_offset", (-offset).astype(np.float32))
            self.nodes.append(helper.make_node("Add", [source, shift], [centered], name=f"{source}_center"))
        self.quantized[source] = _Quantized(centered, self.append_pair(source, centered, scale), scale, offset)

    def remainder(self, source: str) -> str:
        """Return what rounding a tensor leaves of it, rounded more finely; appended where it is first read."""
        if source not in self.remainders:
            coarse, left = self.quantized[source], f"{source}_left"
            self.nodes.append(helper.make_node("Sub", [coarse.centered, coarse.twin], [left], name=left))
            self.remainders[source] = self.append_pair(left, left, np.float32(coarse.step / FINER))
        return self.remainders[source]

    def append_layer(self, node: onnx.NodeProto) -> None:
        """Append a layer that reads INT8, and remember what its bias must give back."""
        source, weight = node.input[0], node.input[1]
        if source not in self.quantized:
            self.center_activation(source)
        offset = self.quantized[source].offset
        axis = weight_axis(node)
        exact = self.weights[weight].astype(np.float64)
        values, scales = quantize_weight(self.weights[weight], axis)
        rounded = values * (scales.astype(np.float64)[:, None] if axis == 0 else scales)
        if axis == 0:
            exact, rounded = exact.T, rounded.T
        correction = offset @ exact - (self.statistics[source].mean - offset) @ (rounded - exact)
        if weight not in self.dequantized:
            self.dequantized[weight] = self.append_weight(weight, values, scales, axis)
        node.input[0], node.input[1] = self.quantized[source].twin, self.dequantized[weight]
        left = self.remainder(source) if node.output[0] in self.finer else None
        if node.op_type == "Gemm":
            self.correct_gemm(node, correction)
        elif self.has_bias(node.output[0]):
            self.corrections[node.output[0]] = correction
        elif offset.any():
            self.append_with_bias(node, left, correction)
            return
        self.append_product(node, left)

    def append_product(self, node: onnx.NodeProto, left: str | None) -> None:
        """Append a layer's product, or the sum of the two that it takes with what rounding ``left``."""
        if left is None:
            self.nodes.append(node)
            return
        output = node.output[0]
        second = onnx.NodeProto()
        second.CopyFrom(node)
        second.name, second.input[0], second.output[0] = f"{node.name}_left", left, f"{output}_left"
        del second.input[2:]  # a Gemm's bias is added once
        node.output[0] = f"{output}_rounded"
        both = helper.make_node("Add", [node.output[0], second.output[0]], [output], name=f"{output}_both")
        self.nodes += [node, second, both]

    def has_bias(self, output: str) -> bool:
        """Say whether one Add of a constant is all that reads ``output``."""
        readers = self.readers[output]
        return len(readers) == 1 and readers[0].op_type == "Add" and any(name in self.weights for name in readers[0].input)

    def correct_bias(self, node: onnx.NodeProto) -> None:
        """Put a layer's correction into the bias that follows it."""
        for place, other in ((0, 1), (1, 0)):
            correction = self.corrections.pop(node.input[place], None)
            if correction is not None:
                bias = self.weights[node.input[other]] + correction
                node.input[other] = self.constant(f"{node.output[0]}_bias", bias.astype(np.float32))

    def correct_gemm(self, node: onnx.NodeProto, correction: Floats) -> None:
        """Put a Gemm's correction into its own bias."""
        bias = self.weights[node.input[2]] if len(node.input) == 3 else np.zeros(1)
        name = self.constant(f"{node.output[0]}_bias", (bias + correction).astype(np.float32))
        del node.input[2:]
        node.input.append(name)

    def append_with_bias(self, node: onnx.NodeProto, left: str | None, correction: Floats) -> None:
        """Append a layer that had no bias, with its correction as one."""
        output = node.output[0]
        node.output[0] = f"{output}_product"
        self.append_product(node, left)
        bias = self.constant(f"{output}_bias", correction.astype(np.float32))
        self.nodes.append(helper.make_node("Add", [f"{output}_product", bias], [output], name=f"{output}_correct"))

    def append_pair(self, name: str, source: str, scale: np.float32) -> str:
        """Append Q and DQ of an activation; return the dequantized tensor's name."""
        pair = [self.constant(f"{name}_scale", np.array(scale)), self.constant(f"{name}_zero", np.array(0, np.int8))]
        self.nodes += [
            helper.make_node("QuantizeLinear", [source, *pair], [f"{name}_q"], name=f"{name}_Q"),
            helper.make_node("DequantizeLinear", [f"{name}_q", *pair], [f"{name}_dq"], name=f"{name}_DQ"),
        ]
        return f"{name}_dq"

    def append_weight(self, name: str, values: npt.NDArray[np.int8], scales: npt.NDArray[np.float32], axis: int) -> str:
        """Append the DQ of a weight; return the dequantized tensor's name."""
        arrays: dict[str, npt.NDArray[Any]] = {
            f"{name}_q": values,
            f"{name}_scale": scales,
            f"{name}_zero": np.zeros(len(scales), np.int8),
        }
        inputs = [self.constant(key, array) for key, array in arrays.items()]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_dq"], name=f"{name}_DQ", axis=axis))
        return f"{name}_dq"

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """Add a constant and return its name; existing ones are never edited, since others may read them."""
        self.added.append(numpy_helper.from_array(value, name))
        return name
