"""The INT8 products of a Q/DQ graph as ONNX Runtime's CPU kernels take them.

A Q/DQ file is written for TensorRT: symmetric INT8, float biases. ONNX Runtime finds the integer products in it by
itself, but leaves every bias a node of its own, and dequantizes the weights at every call where it has joined product
and bias before. So they are written out before the session is opened: one ``MatMulIntegerToFloat`` each, with its bias.
Its fast kernel reads unsigned activations, so the zero point moves from 0 to 128; every value stays the same. A zero
point of the weight is left out: a vector of zeros costs small products 2 to 6 % of their time.

With ``dynamic`` a product rounds its activation with the step that fits the tensor at hand, and a zero point that is free
(``DynamicQuantizeMatMul``): closer to float32 and one node less, but no longer what the file says, and a window's poses
depend on the other windows of the call. It is for files that say so themselves and take one window a call.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from poseedge.graph.graph import Graph
from poseedge.graph.nodes import attribute
from poseedge.int8.float_weights import store_weights_as_integers

DOMAIN = "com.microsoft"
STATIC, DYNAMIC = "MatMulIntegerToFloat", "DynamicQuantizeMatMul"
WEIGHT, STEP, BIAS = {STATIC: 1, DYNAMIC: 1}, {STATIC: 3, DYNAMIC: 2}, {STATIC: 6, DYNAMIC: 4}  # which input is which
ZERO = "unsigned_zero"
UNSIGNED_ZERO = np.array(128, np.uint8)  # what INT8's 0 is among the unsigned values
LEVELS = 255  # of a free zero point
SPREAD = 0.5  # of the reach of all levels: what the centres of channels may differ by where nothing brings them together


def with_integer_products(graph: Graph, dynamic: bool = False) -> Graph:
    """Return a copy of ``graph`` where each product of a quantized activation and a constant INT8 weight is one operator.

    Products of any other form stay as they are. ``dynamic`` changes those whose activation is rounded once.
    """
    copy = graph.copy()
    store_weights_as_integers(copy)  # a graph for TensorRT before 10 holds them as float
    factors = [(node, both) for node in copy.of("MatMul", "Gemm") if (both := quantized_factors(copy, node))]
    if not factors:
        return graph.copy()
    shapes = copy.shapes
    zero = copy.add_constant(ZERO, UNSIGNED_ZERO)
    for quantize in {quantize.output[0]: quantize for _, (quantize, _) in factors}.values():
        for node in (quantize, *copy.readers[quantize.output[0]]):
            copy.set_input(node, 2, zero)
    free = steps_of_one_use(copy, [node for node, _ in factors]) if dynamic else set[str]()
    for node, (quantize, dequantize) in factors:
        if quantize.output[0] in free:
            replace_product(copy, node, DYNAMIC, *dynamic_inputs(copy, node, quantize, dequantize))
        else:
            replace_product(copy, node, STATIC, *static_inputs(copy, node, quantize, dequantize, zero))
    copy.prune()
    state_results(copy, shapes)
    if DOMAIN not in {entry.domain for entry in copy.proto.opset_import}:
        copy.set_opset(1, DOMAIN)
    return copy


def integer_products(graph: Graph) -> list[NodeProto]:
    """Return the products that are integer operators."""
    return [node for node in graph.nodes if node.domain == DOMAIN and node.op_type in STEP]


def steps_of_one_use(graph: Graph, products: list[NodeProto]) -> set[str]:
    """Return the quantized activations that only ``products`` read, and that are not what an earlier rounding left."""
    known = {node.output[0] for node in products}
    free = set()
    for product in products:
        dequantize = graph.makers[product.input[0]]
        quantize = graph.makers[dequantize.input[0]]
        readers = [reader for twin in graph.readers[quantize.output[0]] for reader in graph.readers[twin.output[0]]]
        if all(reader.output[0] in known for reader in readers) and graph.maker(quantize.input[0], "Sub") is None:
            free.add(quantize.output[0])
    return free


def static_inputs(
    graph: Graph, node: NodeProto, quantize: NodeProto, dequantize: NodeProto, zero: str
) -> tuple[list[str], NodeProto]:
    """Return what a product with the file's own step reads, and the node whose result it gives."""
    last, bias = bias_of(graph, node)
    weight = weight_of(graph, node, dequantize)
    return [quantize.output[0], weight, quantize.input[1], dequantize.input[1], zero, "", *bias], last


def dynamic_inputs(graph: Graph, node: NodeProto, quantize: NodeProto, dequantize: NodeProto) -> tuple[list[str], NodeProto]:
    """Return what a product that finds its own step reads, and the node whose result it gives.

    Where a constant row centres the activation, a free zero point does it as well, if the channels' centres do not lie far
    apart: then the row's part of the result goes into the bias.
    """
    last, bias = bias_of(graph, node)
    weight, source = weight_of(graph, node, dequantize), quantize.input[0]
    centred, row = centring(graph, quantize)
    step = float(numpy_helper.to_array(graph.stored[quantize.input[1]]))
    if row is not None and np.ptp(row) <= SPREAD * LEVELS * step:
        source = centred
        columns = numpy_helper.to_array(graph.stored[weight]).astype(np.float64)
        shift = row.astype(np.float64) @ columns * numpy_helper.to_array(graph.stored[dequantize.input[1]])
        before = numpy_helper.to_array(graph.stored[bias[0]]) if bias else 0.0
        bias = [graph.add_constant(f"{last.output[0]}_shifted", (before + shift).astype(np.float32))]
    return [source, weight, dequantize.input[1], "", *bias], last


def centring(graph: Graph, quantize: NodeProto) -> tuple[str, np.ndarray | None]:
    """Return what ``quantize`` rounds without the constant row that centres it, and that row; or None if there is none."""
    added = graph.maker(quantize.input[0], "Add")
    if added is None or graph.reader(added.output[0], "QuantizeLinear") is None or not is_row(graph, added.input[1]):
        return quantize.input[0], None
    return added.input[0], numpy_helper.to_array(graph.stored[added.input[1]])


def replace_product(graph: Graph, node: NodeProto, kind: str, inputs: list[str], last: NodeProto) -> None:
    """Write a product, and the Add that is its bias, as one integer operator."""
    while not inputs[-1]:
        inputs.pop()
    product = helper.make_node(kind, inputs, [last.output[0]], name=node.name, domain=DOMAIN)
    graph.insert(product, before=node)
    graph.remove(*{id(old): old for old in (last, node)}.values())


def state_results(graph: Graph, shapes: dict[str, tuple[int, ...]]) -> None:
    """State the shapes of what integer operators give, which nobody infers; forget those that hold types that have changed."""
    graph.forget_shapes()
    for node in integer_products(graph):
        if node.output[0] in shapes and node.output[0] not in graph.outputs:
            graph.state_shape(node.output[0], shapes[node.output[0]])


def move_steps(graph: Graph) -> None:
    """Let a constant that scales an integer product's columns take their steps; the weight then has one. ``graph`` is edited.

    The kernel's output loop is cheaper with one number: 3 us of (17, 768) on a Xeon. No value is rounded otherwise.
    """
    for product in integer_products(graph):
        kind, scaling = product.op_type, graph.reader(product.output[0], "Mul")
        steps = graph.value(product.input[STEP[kind]])
        place = next((i for i, name in enumerate(scaling.input) if name in graph.stored), None) if scaling is not None else None
        if scaling is None or place is None or steps is None or steps.ndim != 1 or product.output[0] in graph.outputs:
            continue
        largest = steps.max()
        share = steps.astype(np.float64) / largest
        factor = graph.value(scaling.input[place])
        assert factor is not None
        if factor.shape[-1:] != share.shape:
            continue
        name = product.output[0]
        graph.set_input(scaling, place, graph.add_constant(f"{name}_factor", (factor * share).astype(np.float32)))
        graph.set_input(product, STEP[kind], graph.add_constant(f"{name}_step", np.array(largest, np.float32)))
        if len(product.input) > BIAS[kind]:
            bias = graph.value(product.input[BIAS[kind]])
            graph.set_input(product, BIAS[kind], graph.add_constant(f"{name}_bias", (bias / share).astype(np.float32)))
    graph.prune()


def weight_of(graph: Graph, node: NodeProto, dequantize: NodeProto) -> str:
    """Return the INT8 matrix of a product, inputs by outputs."""
    return transposed(graph, dequantize.input[0]) if attribute(node, "transB", 0) else dequantize.input[0]


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
    values, scale, zero = (graph.stored[name] for name in dequantize.input)
    by_output = attribute(dequantize, "axis", 1) == (0 if attribute(node, "transB", 0) else 1)
    matrix = values.data_type == TensorProto.INT8 and len(values.dims) == 2
    plain_bias = len(node.input) < 3 or is_row(graph, node.input[2])
    symmetric = not numpy_helper.to_array(zero).any()
    return dequantize if matrix and by_output and symmetric and len(scale.dims) == 1 and plain_bias else None


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
