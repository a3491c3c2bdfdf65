"""What an ONNX graph costs: floating point operations, parameters, nodes, bytes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import NodeProto, helper
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from poseedge.errors import PoseedgeError
from poseedge.graph.graph import Graph, Shape
from poseedge.graph.nodes import FLOATS, STANDARD
from poseedge.graph.session import SessionError, open_session, session_options
from poseedge.lifter import Cost

_NOT_COUNTED = {"ConvTranspose", "MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv", "LSTM", "GRU", "RNN"}
_NOT_COUNTED |= {"If", "Loop", "Scan"}


@dataclass(frozen=True)
class Product:
    """A matrix product or convolution in a graph, for one window."""

    node: NodeProto
    shapes: tuple[Shape, ...]  # of its inputs
    constant: tuple[bool, ...]  # which inputs do not depend on the keypoints
    output_shape: Shape
    multiply_adds: int

    @property
    def has_weight(self) -> bool:
        """Whether one operand is constant: a weight product, not one of two activations."""
        return any(self.constant[:2])


class UncountableError(PoseedgeError):
    """A graph holds a product whose operations cannot be counted."""


def graph_cost(path: Path) -> Cost:
    """Return the cost of the ONNX graph in ``path``."""
    graph = Graph.load(path)
    nodes = sum(node.op_type != "Constant" for node in graph.nodes)
    params, size = weight_elements(graph), stored_bytes(path)
    try:
        found = products(graph)
    except UncountableError as error:
        return Cost(None, None, params, nodes, size, error.message)
    attention = sum(2 * product.multiply_adds for product in found if not product.has_weight)
    return Cost(sum(2 * product.multiply_adds for product in found), attention, params, nodes, size)


def products(graph: Graph) -> list[Product]:
    """Return every product that is left to run time, with its shapes for a batch of one.

    Raises ``UncountableError`` if there is one whose operations are unknown.
    """
    try:
        return shaped_products(graph)
    except UncountableError:
        # A plain export computes shapes at run time, further than ONNX can follow.
        return shaped_products(constants_folded(graph.single_window()))


def shaped_products(graph: Graph) -> list[Product]:
    """Return the products of a graph whose shapes can be inferred as it stands."""
    found = []
    for node in graph.nodes:
        if (node.domain not in STANDARD and node.op_type not in INTEGER_WEIGHT) or node.op_type in _NOT_COUNTED:
            raise UncountableError(f"the operations of {node.domain or 'ai.onnx'}.{node.op_type} ({node.name}) are not counted")
        operands = [name for name in node.input if name]
        if node.op_type not in _MULTIPLY_ADDS or graph.constant.issuperset(operands):
            continue
        missing = [name for name in (*operands, node.output[0]) if name not in graph.shapes]
        if missing:
            raise UncountableError(f"the shape of {missing[0]} ({node.op_type} {node.name}) cannot be inferred")
        inputs = tuple(graph.shapes[name] for name in operands)
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        output = graph.shapes[node.output[0]]
        count = _MULTIPLY_ADDS[node.op_type](attributes, inputs, output)
        found.append(Product(node, inputs, tuple(name in graph.constant for name in operands), output, count))
    return found


def constants_folded(graph: Graph) -> Graph:
    """Return what ONNX Runtime makes of ``graph`` when it computes everything that is constant."""
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder, "folded.onnx")
        try:
            open_session(graph.proto.SerializeToString(), session_options(written=folded))
        except SessionError as error:
            raise UncountableError(f"ONNX Runtime cannot fold it ({error.reason})") from error
        return Graph.load(folded)


def weight_elements(graph: Graph) -> int:
    """Return the number of stored weight elements: float initializers and quantised ones, without scales and zero points.

    In a folded graph this is not the number of parameters of the network that it came from.
    """
    linear = list(graph.of("QuantizeLinear", "DequantizeLinear"))
    integer = [(node, INTEGER_WEIGHT[node.op_type]) for node in graph.nodes if node.op_type in INTEGER_WEIGHT]
    quantised = {node.input[0] for node in linear} | {node.input[weight] for node, weight in integer}
    scales = {name for node in linear for name in node.input[1:]}
    scales |= {name for node, weight in integer for name in node.input[weight + 1 : INTEGER_BIAS[node.op_type]]}
    return sum(
        math.prod(tensor.dims)
        for tensor in graph.proto.graph.initializer
        if tensor.name not in scales and (tensor.data_type in FLOATS or tensor.name in quantised)
    )


def stored_bytes(path: Path) -> int:
    """Return the bytes of the file and of the side files that hold its weights, if any."""
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    beside = {ExternalDataInfo(tensor).location for tensor in tensors if uses_external_data(tensor)}
    return sum(file.stat().st_size for file in (path, *(path.parent / name for name in beside)))


def _matmul(attributes: dict[str, Any], inputs: tuple[Shape, ...], output: Shape) -> int:
    return math.prod(output) * inputs[0][-1]


def _gemm(attributes: dict[str, Any], inputs: tuple[Shape, ...], output: Shape) -> int:
    return math.prod(output) * inputs[0][0 if attributes.get("transA") else 1]


def _conv(attributes: dict[str, Any], inputs: tuple[Shape, ...], output: Shape) -> int:
    return math.prod(output) * math.prod(inputs[1][1:])


def _einsum(attributes: dict[str, Any], inputs: tuple[Shape, ...], output: Shape) -> int:
    terms = attributes["equation"].decode().replace(" ", "").split("->")[0].split(",")
    if len(terms) != 2 or "..." in "".join(terms):
        raise UncountableError(f"the operations of Einsum {','.join(terms)} are not counted")
    sizes = dict(_labelled(terms, inputs))
    return math.prod(sizes.values())


def _labelled(terms: list[str], inputs: tuple[Shape, ...]) -> Iterator[tuple[str, int]]:
    for term, shape in zip(terms, inputs, strict=True):
        yield from zip(term, shape, strict=True)


def _attention(attributes: dict[str, Any], inputs: tuple[Shape, ...], output: Shape) -> int:
    keys = inputs[1][-2]
    return (math.prod(inputs[0]) + math.prod(output)) * keys  # q kᵀ, then weights v


# ONNX Runtime's integer products: which input is the weight, which the bias; steps and zero points stand between.
INTEGER_WEIGHT = {"MatMulIntegerToFloat": 1, "DynamicQuantizeMatMul": 1}
INTEGER_BIAS = {"MatMulIntegerToFloat": 6, "DynamicQuantizeMatMul": 4}

_MULTIPLY_ADDS: dict[str, Callable[[dict[str, Any], tuple[Shape, ...], Shape], int]] = {
    "MatMul": _matmul,
    **dict.fromkeys(INTEGER_WEIGHT, _matmul),
    "Gemm": _gemm,
    "Conv": _conv,
    "Einsum": _einsum,
    "Attention": _attention,
}
