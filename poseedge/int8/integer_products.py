"""The INT8 products of a Q/DQ graph as ONNX Runtime's CPU kernels take them.

A Q/DQ file is written for TensorRT: symmetric INT8, float biases. ONNX Runtime finds the integer products in it by
itself, but leaves every bias a node of its own, and dequantizes the weights at every call where it has joined product
and bias before. So they are written out before the session is opened: one ``MatMulIntegerToFloat`` each, with its bias.
Its fast kernel reads unsigned activations, so the zero point moves from 0 to 128; every value stays the same.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from poseedge.graph.graph import Graph
from poseedge.graph.nodes import attribute
from poseedge.int8.float_weights import store_weights_as_integers

DOMAIN = "com.microsoft"
ZERO = "unsigned_zero"
UNSIGNED_ZERO = np.array(128, np.uint8)  # what INT8's 0 is among the unsigned values


def with_integer_products(graph: Graph) -> Graph:
    """Return a copy of ``graph`` where each product of a quantized activation and a constant INT8 weight is one operator.

    Products of any other form stay as they are.
    """
    copy = graph.copy()
    store_weights_as_integers(copy)  # a graph for TensorRT before 10 holds them as float
    factors = [(node, both) for node in copy.of("MatMul", "Gemm") if (both := quantized_factors(copy, node))]
    if not factors:
        return graph.copy()
    zero = copy.add_constant(ZERO, UNSIGNED_ZERO)
    for quantize in {quantize.output[0]: quantize for _, (quantize, _) in factors}.values():
        for node in (quantize, *copy.readers[quantize.output[0]]):
            copy.set_input(node, 2, zero)
    for node, (quantize, dequantize) in factors:
        replace_product(copy, node, quantize, dequantize, zero)
    copy.prune()
    copy.forget_shapes()  # they hold types that have changed
    if DOMAIN not in {entry.domain for entry in copy.proto.opset_import}:
        copy.set_opset(1, DOMAIN)
    return copy


def replace_product(graph: Graph, node: NodeProto, quantize: NodeProto, dequantize: NodeProto, zero: str) -> None:
    """Write a product, and the Add that is its bias, as one integer operator."""
    last, bias = bias_of(graph, node)
    weight = dequantize.input[0]
    if attribute(node, "transB", 0):
        weight = transposed(graph, weight)
    inputs = [quantize.output[0], weight, quantize.input[1], dequantize.input[1], zero, dequantize.input[2], *bias]
    product = helper.make_node("MatMulIntegerToFloat", inputs, [last.output[0]], name=node.name, domain=DOMAIN)
    graph.insert(product, before=node)
    graph.remove(*{id(old): old for old in (last, node)}.values())


def transposed(graph: Graph, weight: str) -> str:
    """Return the transpose of a stored matrix, which is stored once."""
    name = f"{weight}_transposed"
    if name not in graph.stored:
        graph.add_constant(name, np.ascontiguousarray(numpy_helper.to_array(graph.stored[weight]).T))
    return name


def quantized_factors(graph: Graph, node: NodeProto) -> tuple[NodeProto, NodeProto] | None:
    """Return what quantizes the first factor and dequantizes the second, if ``node`` is an integer product."""
    quantize, dequantize = quantized_activation(graph, node), dequantized_weight(graph, node)
    return (quantize, dequantize) if quantize is not None and dequantize is not None else None


def quantized_activation(graph: Graph, node: NodeProto) -> NodeProto | None:
    """Return what quantizes a product's first factor, if the step is one symmetric FLOAT number."""
    dequantize = graph.maker(node.input[0], "DequantizeLinear")
    quantize = graph.maker(dequantize.input[0], "QuantizeLinear") if dequantize else None
    if quantize is None or attribute(node, "transA", 0) or not is_stored(graph, quantize, 1):
        return None
    scale, zero = (graph.stored[name] for name in quantize.input[1:])
    symmetric = zero.data_type == TensorProto.INT8 and not numpy_helper.to_array(zero).any()
    free = all(reader.op_type == "DequantizeLinear" for reader in graph.readers[quantize.output[0]])
    return quantize if symmetric and free and scale.data_type == TensorProto.FLOAT and not scale.dims else None


def dequantized_weight(graph: Graph, node: NodeProto) -> NodeProto | None:
    """Return what dequantizes a product's second factor, if it is a constant INT8 matrix with a step for each output channel."""
    dequantize = graph.maker(node.input[1], "DequantizeLinear")
    if dequantize is None or not is_stored(graph, dequantize, 0):
        return None
    values, scale, _ = (graph.stored[name] for name in dequantize.input)
    by_output = attribute(dequantize, "axis", 1) == (0 if attribute(node, "transB", 0) else 1)
    matrix = values.data_type == TensorProto.INT8 and len(values.dims) == 2
    plain_bias = len(node.input) < 3 or is_row(graph, node.input[2])
    return dequantize if matrix and by_output and len(scale.dims) == 1 and plain_bias else None


def bias_of(graph: Graph, node: NodeProto) -> tuple[NodeProto, list[str]]:
    """Return the node that gives a product with its bias, and the bias: a Gemm's, or that of the Add which reads it."""
    if node.op_type == "Gemm":
        return node, list(node.input[2:])
    added = graph.reader(node.output[0], "Add") if node.output[0] not in graph.outputs else None
    bias = [name for name in added.input if is_row(graph, name)] if added is not None else []
    return (added, bias[:1]) if added is not None and bias else (node, [])


def is_stored(graph: Graph, node: NodeProto, first: int) -> bool:
    """Say whether a Q or DQ node states its zero point and reads constants from its input number ``first`` on."""
    return len(node.input) > 2 and all(name in graph.stored for name in node.input[first:])


def is_row(graph: Graph, name: str) -> bool:
    """Say whether ``name`` is a constant with one axis."""
    return name in graph.stored and len(graph.stored[name].dims) == 1
