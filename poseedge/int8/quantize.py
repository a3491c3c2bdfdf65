"""INT8 as TensorRT reads it: explicit Q/DQ, symmetric, per-channel weights, and only where ``placement`` says.

A quantized layer reads its input through QuantizeLinear and DequantizeLinear, and its weight, stored as INT8, through
DequantizeLinear. Biases, norms and constants on the left stay float; so does every other reader of a quantized tensor,
which keeps residual paths exact.

Each channel is centred before it is rounded (``ranges``): in the norm's own bias where a norm stands before, in the bias of
the values where attention does, else by an addition. What that takes away from the product, ``offset @ W``, is compensated in
the layer's bias, together with the mean error that the rounded weight makes. In float arithmetic the graph stays the same.

Rounding an activation anew in every window makes joints jitter, which no calibration mends. A layer that matters may
therefore read its input in two steps: rounded, and then what the rounding left, rounded with a 254th of the step. Both
products take the same INT8 weight, so the file does not grow; only the weight's rounding remains, which is smooth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper, numpy_helper

from poseedge.arrays import AnyArray, Float32Array, Float64Array
from poseedge.graph.channels import relabelled
from poseedge.graph.graph import Graph
from poseedge.int8.centring import bias_add, bias_behind, weight_axis
from poseedge.int8.offsets import centered, move_centres, rename
from poseedge.int8.placement import Placement, plain_key
from poseedge.int8.ranges import QMAX, Ranges

FINER = 254.0  # the second step is this much finer: what rounding leaves, half a step each way, fills all 8 bits

# What an INT8 file needs on ONNX Runtime: a Gemm built from MatMul + Add would dequantize its weights at every call.
ORT_DISABLED_OPTIMIZERS = ("MatMulAddFusion",)


def quantize(graph: Graph, placement: Placement, ranges: Ranges) -> Graph:
    """Return a copy of ``graph`` with what ``placement`` names in INT8; ``ranges`` are those of its tensors."""
    inserter = QdqInserter(graph.copy(), placement, ranges)
    for node in list(inserter.graph.nodes):
        inserter.take(node)
    inserter.graph.prune()
    return inserter.graph


def quantize_weight(weight: Float32Array, axis: int) -> tuple[npt.NDArray[np.int8], Float32Array]:
    """Return INT8 values and the scale of each output channel."""
    largest = np.abs(weight).max(axis=1 - axis, keepdims=True)
    scale = np.where(largest > 0, largest / QMAX, 1.0).astype(np.float32)
    return np.clip(np.rint(weight / scale), -QMAX, QMAX).astype(np.int8), scale.reshape(-1)


class QdqInserter:
    """Walks a graph's nodes in order and puts Q/DQ around the chosen ones."""

    def __init__(self, graph: Graph, placement: Placement, ranges: Ranges) -> None:
        """``graph`` is edited."""
        self.graph, self.placement, self.ranges = graph, placement, ranges
        self.chosen = {node.output[0] for node in placement.layers.values()}
        self.rounded: dict[str, str] = {}  # float tensor -> its dequantized twin, by key
        self.remainders: dict[str, str] = {}  # float tensor -> what rounding left of it, dequantized
        made = {node.output[0]: node for node in graph.nodes if node.output[0] in self.chosen}
        self.behind = {name: bias_behind(graph, node) for name, node in made.items()}  # layer -> from its result to its bias
        self.shapes = graph.shapes
        moved = move_centres(graph, placement, ranges)
        self.centered = moved.centered  # float tensor -> its centred twin
        self.corrections = moved.corrections  # what an Add or a Gemm reads or gives -> what its constant must add
        self.dequantized: dict[tuple[str, str], str] = {}  # weight and the input that it is divided for -> its dequantized twin

    def take(self, node: NodeProto) -> None:
        """Rewrite ``node`` and what stands before it, where it must be."""
        if node.output[0] in self.chosen:
            self.quantize_layer(node)
            return
        if node.output[0] in self.placement.attention:
            self.graph.set_inputs(node, [self.plainly_rounded(node, name) for name in node.input])
        if node.op_type == "Add" and self.corrections:
            self.correct_bias(node)
        if node.op_type == "Gemm" and node.output[0] in self.corrections:
            self.correct_gemm(node, self.corrections.pop(node.output[0]))

    def plainly_rounded(self, node: NodeProto, source: str) -> str:
        """Return the dequantized twin of a tensor that ``node`` reads as it is."""
        key = plain_key(source)
        if key not in self.rounded:
            self.rounded[key] = self.insert_pair(node, key, source, self.ranges[key].step)
        return self.rounded[key]

    def center(self, layer: NodeProto) -> str:
        """Return the centred twin of what a layer reads; insert the addition that makes it where no norm did."""
        source = layer.input[0]
        if source not in self.centered:
            self.centered[source] = source
            offset = self.ranges[source].offset
            assert (self.ranges[source].divisor == 1).all(), f"no norm divides {source}"
            if offset.any():
                self.centered[source] = centered(source)
                inputs = [source, self.graph.add_constant(f"{source}_offset", (-offset).astype(np.float32))]
                self.insert(layer, "Add", inputs, self.centered[source], f"{source}_center")
        return self.centered[source]

    def quantize_layer(self, node: NodeProto) -> None:
        """Let a layer read INT8, and remember what its bias must compensate."""
        source, output, activation = node.input[0], node.output[0], self.ranges[node.input[0]]
        if source not in self.rounded:
            self.rounded[source] = self.insert_pair(node, source, self.center(node), activation.step)
        weight, correction = self.insert_weight(node)
        shift = self.corrections.pop(output, None)  # where its result is centred for another layer
        correction = correction if shift is None else correction + shift
        self.graph.set_inputs(node, [self.rounded[source], weight, *node.input[2:]])
        if node.op_type == "Gemm":
            self.correct_gemm(node, correction)
        elif bias_add(self.graph, node):
            self.corrections[output] = correction
        elif not self.behind[output] and (activation.offset.any() or shift is not None):
            self.insert_bias(node, source, correction)
            if shift is not None:
                rename(self.graph, output, self.chosen)
            return
        self.split_product(node, source)
        if len(self.behind[output]) > 1:
            self.correct_behind(self.behind[output], correction)

    def insert_weight(self, node: NodeProto) -> tuple[str, Float64Array]:
        """Insert the DQ of a layer's weight; return what it gives, and what the layer's bias must compensate."""
        source, weight = node.input[0], node.input[1]
        activation, axis = self.ranges[source], weight_axis(node)
        exact = self.weight(weight).astype(np.float64)
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
            self.dequantized[divided] = self.insert_dequantized(node, name, values, scales, axis)
        return self.dequantized[divided], correction

    def split_product(self, node: NodeProto, source: str) -> NodeProto:
        """Where a layer's input has two steps, let its product be the sum of two; return the node that gives it."""
        output = node.output[0]
        if output.removesuffix("_product") not in self.placement.two_step:
            return node
        parts = [f"{output}_rounded", f"{output}_left"]
        inputs = [self.remainder(node, source), node.input[1]]  # a Gemm's bias is added once
        second = helper.make_node(node.op_type, inputs, parts[1:], name=f"{node.name}_left")
        second.attribute.extend(node.attribute)
        self.graph.rename_output(node, parts[0])
        both = helper.make_node("Add", parts, [output], name=f"{output}_both")
        return self.graph.insert(both, after=self.graph.insert(second, after=node))

    def remainder(self, node: NodeProto, source: str) -> str:
        """Return what rounding a tensor leaves of it, rounded more finely; inserted where it is first read."""
        if source not in self.remainders:
            left = f"{source}_left"
            self.insert(node, "Sub", [self.centered[source], self.rounded[source]], left, left)
            self.remainders[source] = self.insert_pair(node, left, left, np.float32(self.ranges[source].step / FINER))
        return self.remainders[source]

    def correct_bias(self, node: NodeProto) -> None:
        """Put a layer's correction into the bias that follows it."""
        for place, other in ((0, 1), (1, 0)):
            correction = self.corrections.pop(node.input[place], None)
            if correction is not None:
                bias = (self.weight(node.input[other]) + correction).astype(np.float32)
                self.graph.set_input(node, other, self.graph.add_constant(f"{node.output[0]}_bias", bias))

    def correct_gemm(self, node: NodeProto, correction: Float64Array) -> None:
        """Put a Gemm's correction into its own bias."""
        bias = self.weight(node.input[2]) if len(node.input) == 3 else np.zeros(1)
        name = self.graph.add_constant(f"{node.output[0]}_bias", (bias + correction).astype(np.float32))
        self.graph.set_inputs(node, [*node.input[:2], name])

    def correct_behind(self, tensors: list[str], correction: Float64Array) -> None:
        """Put a layer's correction into the constant that is added to the last of ``tensors``, which nodes make of its result."""
        row = np.broadcast_to(correction.astype(np.float32), self.shapes[tensors[0]])
        added = relabelled(self.graph, tensors, row)
        assert added is not None
        for tensor in tensors:
            rename(self.graph, tensor, self.chosen)
        self.corrections[centered(tensors[-1])] = added.astype(np.float64)

    def insert_bias(self, node: NodeProto, source: str, correction: Float64Array) -> None:
        """Give a layer that had no bias its correction as one."""
        output = node.output[0]
        self.graph.rename_output(node, f"{output}_product")
        bias = self.graph.add_constant(f"{output}_bias", correction.astype(np.float32))
        added = helper.make_node("Add", [f"{output}_product", bias], [output], name=f"{output}_correct")
        self.graph.insert(added, after=self.split_product(node, source))

    def insert_pair(self, node: NodeProto, name: str, source: str, step: np.float32) -> str:
        """Insert Q and DQ of an activation before ``node``; return the dequantized tensor's name."""
        scale = self.graph.add_constant(f"{name}_scale", np.array(step))
        zero = self.graph.add_constant(f"{name}_zero", np.array(0, np.int8))
        self.insert(node, "QuantizeLinear", [source, scale, zero], f"{name}_q", f"{name}_Q")
        return self.insert(node, "DequantizeLinear", [f"{name}_q", scale, zero], f"{name}_dq", f"{name}_DQ")

    def insert_dequantized(
        self, node: NodeProto, name: str, values: npt.NDArray[np.int8], scales: Float32Array, axis: int
    ) -> str:
        """Insert the DQ of a weight before ``node``; return the dequantized tensor's name."""
        arrays: dict[str, AnyArray] = {"q": values, "scale": scales, "zero": np.zeros(len(scales), np.int8)}
        inputs = [self.graph.add_constant(f"{name}_{part}", array) for part, array in arrays.items()]
        return self.insert(node, "DequantizeLinear", inputs, f"{name}_dq", f"{name}_DQ", axis=axis)

    def insert(self, before: NodeProto, kind: str, inputs: list[str], output: str, name: str, **attributes: Any) -> str:
        """Insert a node and return what it gives."""
        self.graph.insert(helper.make_node(kind, inputs, [output], name=name, **attributes), before=before)
        return output

    def weight(self, name: str) -> AnyArray:
        """Return a stored tensor's value."""
        return numpy_helper.to_array(self.graph.stored[name])
