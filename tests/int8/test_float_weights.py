"""Weights that are stored as float for an older TensorRT become the same integers, and the same poses."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from poseedge.arrays import AnyArray
from poseedge.graph.graph import Graph
from poseedge.int8.float_weights import along, store_weights_as_float, store_weights_as_integers
from poseedge.int8.placement import place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from tests.support.graphs import simplified, windows

INTEGERS = np.arange(-128, 128, dtype=np.int8)


def stored(scale: AnyArray, values: AnyArray, axis: int) -> Graph:
    """Return a graph that multiplies its input with an INT8 constant."""
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["dq"], name="weight", axis=axis),
        helper.make_node("MatMul", ["x", "dq"], ["y"], name="product"),
    ]
    zero = np.zeros(scale.shape, np.int8)
    weights = [numpy_helper.from_array(value, name) for name, value in (("w", values), ("scale", scale), ("zero", zero))]
    rows, columns = values.shape
    given, found = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n]) for name, n in (("x", rows), ("y", columns)))
    graph = helper.make_graph(nodes, "stored", [given], [found], weights)
    return Graph(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))


def rounded(graph: Graph) -> AnyArray:
    """Return the integers that ONNX Runtime makes of the stored float weights."""
    [quantize] = graph.of("QuantizeLinear")
    rows = graph.shapes[quantize.input[0]][0]
    return graph.evaluator([quantize.output[0]])(np.zeros((1, rows), np.float32))[0]


def test_every_integer_comes_back_for_any_scale() -> None:
    """255 integers under 20,000 scales of all magnitudes that a weight may have, and the extreme ones."""
    rng = np.random.default_rng(0)
    scales = np.concatenate([10 ** rng.uniform(-30, 30, 20000), rng.uniform(1e-4, 1e-1, 2000), [1e-38, 1e36, 1 / 127]])
    scales = scales.astype(np.float32)
    values = np.repeat(INTEGERS[:, None], len(scales), axis=1)
    floats = values.astype(np.float32) * along(scales, 1, values)
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(np.rint(floats / scales), values)


@pytest.mark.parametrize(("axis", "shape"), [(1, (256, 3)), (0, (3, 256)), (-1, (256, 3))])
def test_graph_rounds_to_the_stored_integers_along_its_axis(axis: int, shape: tuple[int, int]) -> None:
    values = np.tile(INTEGERS, 3).reshape(3, 256)
    values = values if axis == 0 else np.ascontiguousarray(values.T)
    graph = stored(np.array([0.01, 0.7, 3e-5], np.float32), values, axis)
    store_weights_as_float(graph)
    assert values.shape == shape
    np.testing.assert_array_equal(rounded(graph), values)
    assert not any(tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1 for tensor in graph.proto.graph.initializer)


def test_one_scale_for_all_needs_no_axis() -> None:
    graph = stored(np.array(0.02, np.float32), INTEGERS.reshape(16, 16), axis=1)
    store_weights_as_float(graph)
    np.testing.assert_array_equal(rounded(graph), INTEGERS.reshape(16, 16))


def small_int8() -> Graph:
    """Return the small network with INT8 weights."""
    exact = simplified(13)[0]
    placement = place(exact, [])
    return quantize(exact, placement, calibrate(exact, placement, windows(), migrate=0.7))


def test_network_gives_the_same_poses_bit_for_bit() -> None:
    graph = small_int8()
    other = graph.copy()
    store_weights_as_float(other)
    onnx.checker.check_model(other.proto, full_check=True)
    np.testing.assert_array_equal(other.run(windows()[:1]), graph.run(windows()[:1]))
    layers = sum(1 for node in graph.of("DequantizeLinear") if node.input[0] in graph.stored)
    assert layers > 3
    assert len(list(other.of("QuantizeLinear"))) == len(list(graph.of("QuantizeLinear"))) + layers


def test_there_and_back_the_same_integers_are_stored() -> None:
    graph, other = small_int8(), small_int8()
    store_weights_as_float(other)
    store_weights_as_integers(other)

    def stored_integers(held: Graph) -> list[AnyArray]:
        names = [node.input[0] for node in held.of("DequantizeLinear") if node.input[0] in held.stored]
        return [value for name in names if (value := held.value(name)) is not None]

    both = zip(stored_integers(graph), stored_integers(other), strict=True)
    assert all((one == again).all() for one, again in both)
    assert len(list(other.of("QuantizeLinear"))) == len(list(graph.of("QuantizeLinear")))
