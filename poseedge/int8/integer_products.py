"""The INT8 products of a Q/DQ graph as ONNX Runtime's CPU kernels take them.

A Q/DQ file is written for TensorRT: symmetric INT8, float biases. ONNX Runtime finds the integer products in it by
itself, but leaves every bias a node of its own, and dequantizes the weights at every call where it has joined product
and bias before. So they are written out before the session is opened: one ``MatMulIntegerToFloat`` each, with its bias.
Its fast kernel reads unsigned activations, so the zero point moves from 0 to 128; every value stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from poseedge.arrays import AnyArray

DOMAIN = "com.microsoft"
ZERO = "unsigned_zero"
UNSIGNED_ZERO = np.array(128, np.uint8)  # what INT8's 0 is among the unsigned values


def with_integer_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of ``model`` where each product of a quantized activation and a constant INT8 weight is one operator.

    Products of any other form stay as they are.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    rewriter = _Rewriter(copy.graph)
    for node in copy.graph.node:
        rewriter.take(node)
    if rewriter.added:
        outputs = {value.name for value in copy.graph.output}
        del copy.graph.node[:], copy.graph.value_info[:]  # the latter hold types that have changed
        copy.graph.node.extend(read_nodes(rewriter.nodes, outputs))
        copy.graph.initializer.extend(rewriter.added.values())
        if DOMAIN not in {entry.domain for entry in copy.opset_import}:
            copy.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return copy


def read_nodes(nodes: list[NodeProto], outputs: set[str]) -> list[NodeProto]:
    """Return those of ``nodes``, which are in order of execution, that ``outputs`` depend on."""
    read, kept = set(outputs), []
    for node in reversed(nodes):
        if read.intersection(node.output):
            read.update(node.input)
            kept.append(node)
    return kept[::-1]


@dataclass
class _Rewriter:
    graph: onnx.GraphProto
    nodes: list[NodeProto] = field(default_factory=list)
    added: dict[str, TensorProto] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.producers = {name: node for node in self.graph.node for name in node.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.factors = {node.output[0]: both for node in self.graph.node if (both := self.quantized_factors(node))}
        self.unsigned = {quantize.output[0] for quantize, _ in self.factors.values()}
        self.absorbed: set[str] = set()  # results of additions that are a product's bias now

    def take(self, node: NodeProto) -> None:
        """Append ``node``, or the integer product that it is."""
        if node.output[0] in self.absorbed:
            return
        if node.output[0] in self.factors:
            self.nodes.append(self.product(node))
            return
        if self.unsigned.intersection((*node.input[:1], *node.output)):  # Q, or a DQ of the same
            node.input[2] = self.constant(ZERO, UNSIGNED_ZERO)
        self.nodes.append(node)

    def product(self, node: NodeProto) -> NodeProto:
        """Return the integer product that ``node`` is."""
        quantize, dequantize = self.factors[node.output[0]]
        output, bias = self.output_and_bias(node)
        weight = dequantize.input[0]
        if attribute(node, "transB", 0):
            values = numpy_helper.to_array(self.constants[weight])
            weight = self.constant(f"{weight}_transposed", np.ascontiguousarray(values.T))
        steps = [quantize.input[1], dequantize.input[1], ZERO, dequantize.input[2]]
        inputs = [quantize.output[0], weight, *steps, *bias]
        return helper.make_node("MatMulIntegerToFloat", inputs, [output], name=node.name, domain=DOMAIN)

    def quantized_factors(self, node: NodeProto) -> tuple[NodeProto, NodeProto] | None:
        """Return what quantizes the first factor and dequantizes the second, if ``node`` is an integer product."""
        quantize, dequantize = self.activation(node), self.weight(node)
        return (quantize, dequantize) if quantize is not None and dequantize is not None else None

    def activation(self, node: NodeProto) -> NodeProto | None:
        """Return what quantizes the first factor, if ``node`` is a product and the step is one symmetric FLOAT number."""
        if node.op_type not in {"MatMul", "Gemm"} or attribute(node, "transA", 0):
            return None
        dequantize = self.producer(node.input[0], "DequantizeLinear")
        quantize = self.producer(dequantize.input[0], "QuantizeLinear") if dequantize else None
        if quantize is None or len(quantize.input) < 3 or not all(name in self.constants for name in quantize.input[1:]):
            return None
        scale, zero = (self.constants[name] for name in quantize.input[1:])
        symmetric = zero.data_type == TensorProto.INT8 and not numpy_helper.to_array(zero).any()
        free = all(reader.op_type == "DequantizeLinear" for reader in self.readers[quantize.output[0]])
        return quantize if symmetric and free and scale.data_type == TensorProto.FLOAT and not scale.dims else None

    def weight(self, node: NodeProto) -> NodeProto | None:
        """Return what dequantizes the second factor, if it is a constant INT8 matrix with a step for each output channel."""
        dequantize = self.producer(node.input[1], "DequantizeLinear") if len(node.input) > 1 else None
        if dequantize is None or len(dequantize.input) < 3 or not all(name in self.constants for name in dequantize.input):
            return None
        values, scale, _ = (self.constants[name] for name in dequantize.input)
        by_output = attribute(dequantize, "axis", 1) == (0 if attribute(node, "transB", 0) else 1)
        matrix = values.data_type == TensorProto.INT8 and len(values.dims) == 2
        plain_bias = len(node.input) < 3 or self.is_row(node.input[2])
        return dequantize if matrix and by_output and len(scale.dims) == 1 and plain_bias else None

    def output_and_bias(self, node: NodeProto) -> tuple[str, list[str]]:
        """Return what the product with its bias is called, and the bias: a Gemm's, or that of the Add which reads it."""
        if node.op_type == "Gemm":
            return node.output[0], list(node.input[2:])
        readers = self.readers.get(node.output[0], [])
        if len(readers) == 1 and readers[0].op_type == "Add":
            for name in readers[0].input:
                if self.is_row(name):
                    self.absorbed.add(readers[0].output[0])
                    return readers[0].output[0], [name]
        return node.output[0], []

    def producer(self, name: str, operator: str) -> NodeProto | None:
        """Return the node that makes ``name``, if it is an ``operator``."""
        node = self.producers.get(name)
        return node if node is not None and node.op_type == operator else None

    def is_row(self, name: str) -> bool:
        """Say whether ``name`` is a constant with one axis."""
        return name in self.constants and len(self.constants[name].dims) == 1

    def constant(self, name: str, value: AnyArray) -> str:
        """Add a constant and return its name."""
        self.added[name] = numpy_helper.from_array(value, name)
        return name


def attribute(node: NodeProto, name: str, default: int) -> int:
    """Return an integer attribute."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)
