"""INT8 graphs on ONNX Runtime's CPU: faster operators, the same poses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from poseedge.arrays import AnyArray
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.graph.graph import Graph
from poseedge.int8.integer_products import move_steps, with_integer_products
from tests.support.graphs import make_graph, windows


def quantized(
    nodes: list[onnx.NodeProto], weight: AnyArray, weight_axis: int = 1, zero: AnyArray | None = None, **constants: AnyArray
) -> Graph:
    """Return a graph where ``nodes`` read ``x``, quantized, as ``x_dq`` and an INT8 ``weight`` as ``w_dq``."""
    channels = weight.shape[weight_axis]
    pair = ["step", "zero"]
    written = {
        "step": np.array(0.02, np.float32),
        "zero": np.array(0, np.int8) if zero is None else zero,
        "w": weight,
        "w_step": np.linspace(0.01, 0.03, channels).astype(np.float32),
        "w_zero": np.zeros(channels, np.int8),
    }
    around = [
        helper.make_node("QuantizeLinear", ["x", *pair], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", *pair], ["x_dq"]),
        helper.make_node("DequantizeLinear", ["w", "w_step", "w_zero"], ["w_dq"], axis=weight_axis),
    ]
    return make_graph([*around, *nodes], [5, 8], {**written, **constants})


def weight(*shape: int) -> AnyArray:
    return np.random.default_rng(0).integers(-127, 128, shape).astype(np.int8)


def keypoints() -> AnyArray:
    return np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)


BIAS = np.linspace(-1, 1, 6).astype(np.float32)
PRODUCTS = {
    "product": quantized([helper.make_node("MatMul", ["x_dq", "w_dq"], ["y"])], weight(8, 6)),
    "product and bias": quantized(
        [helper.make_node("MatMul", ["x_dq", "w_dq"], ["p"]), helper.make_node("Add", ["b", "p"], ["y"])], weight(8, 6), b=BIAS
    ),
    "Gemm": quantized([helper.make_node("Gemm", ["x_dq", "w_dq", "b"], ["y"])], weight(8, 6), b=BIAS),
    "transposed Gemm": quantized([helper.make_node("Gemm", ["x_dq", "w_dq", "b"], ["y"], transB=1)], weight(6, 8), 0, b=BIAS),
    "two readers": quantized(
        [
            helper.make_node("MatMul", ["x_dq", "w_dq"], ["p"]),
            helper.make_node("MatMul", ["x_dq", "w_dq"], ["q"]),
            helper.make_node("Add", ["p", "q"], ["y"]),
        ],
        weight(8, 6),
    ),
    "product that is read twice": quantized(
        [
            helper.make_node("MatMul", ["x_dq", "w_dq"], ["p"]),
            helper.make_node("Add", ["p", "b"], ["q"]),
            helper.make_node("Mul", ["p", "q"], ["y"]),
        ],
        weight(8, 6),
        b=BIAS,
    ),
    "activation that a float operator reads too": quantized(
        [helper.make_node("MatMul", ["x_dq", "w_dq"], ["p"]), helper.make_node("Add", ["p", "x_dq"], ["y"])], weight(8, 8)
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_product_becomes_one_integer_operator_with_the_same_result(name: str) -> None:
    graph = PRODUCTS[name]
    rewritten = with_integer_products(graph)
    products = Counter(node.op_type for node in graph.nodes if node.op_type in {"MatMul", "Gemm"}).total()
    found = Counter(node.op_type for node in rewritten.nodes)
    assert (found["MatMulIntegerToFloat"], found["MatMul"], found["Gemm"]) == (products, 0, 0)
    np.testing.assert_allclose(rewritten.run(keypoints()), graph.run(keypoints()), atol=1e-5)


def test_bias_is_part_of_the_operator() -> None:
    operators = {node.op_type for node in with_integer_products(PRODUCTS["product and bias"]).nodes}
    assert operators == {"QuantizeLinear", "MatMulIntegerToFloat"}


def only(graph: Graph, kind: str) -> onnx.NodeProto:
    return next(node for node in graph.nodes if node.op_type == kind)


def test_zero_point_of_the_weight_is_left_out() -> None:
    product = only(with_integer_products(PRODUCTS["product and bias"]), "MatMulIntegerToFloat")
    assert [bool(name) for name in product.input] == [True, True, True, True, True, False, True]
    product = only(with_integer_products(PRODUCTS["product"]), "MatMulIntegerToFloat")
    assert len(product.input) == 5  # nothing stands behind it


@pytest.mark.parametrize("name", sorted(PRODUCTS.keys() - {"activation that a float operator reads too"}))
def test_dynamic_product_rounds_by_the_range_of_what_it_is_given(name: str) -> None:
    graph, x = PRODUCTS[name], keypoints()
    rewritten = with_integer_products(graph, dynamic=True)
    kinds = Counter(node.op_type for node in rewritten.nodes)
    assert kinds["DynamicQuantizeMatMul"] > 0
    assert kinds["QuantizeLinear"] == kinds["MatMulIntegerToFloat"] == 0
    small = np.multiply(x, 0.01, dtype=np.float32)  # below the step of the file, which sees nothing
    assert np.abs(rewritten.run(small) - without_rounding(graph).run(small)).max() < 0.01
    assert np.abs(rewritten.run(x) - without_rounding(graph).run(x)).max() < 0.5


def without_rounding(graph: Graph) -> Graph:
    """Return ``model`` with float activations."""
    copy = graph.copy()
    for node in list(copy.nodes):
        for place, name in enumerate(node.input):
            if name == "x_dq":
                copy.set_input(node, place, "x")
    copy.prune()
    return copy


def test_activation_that_something_else_reads_rounded_keeps_the_step_of_the_file() -> None:
    graph = PRODUCTS["activation that a float operator reads too"]
    rewritten = with_integer_products(graph, dynamic=True)
    assert "DynamicQuantizeMatMul" not in {node.op_type for node in rewritten.nodes}
    np.testing.assert_allclose(rewritten.run(keypoints()), graph.run(keypoints()), atol=1e-5)


def centred(row: AnyArray) -> Graph:
    """Return a product of ``x + row``, quantized."""
    graph = PRODUCTS["product and bias"].copy()
    quantize = only(graph, "QuantizeLinear")
    added = helper.make_node("Add", ["x", graph.add_constant("row", row)], ["x_centred"])
    graph.insert(added, before=quantize)
    graph.set_input(quantize, 0, "x_centred")
    return graph


@pytest.mark.parametrize(("spread", "kinds"), [(0.5, {"DynamicQuantizeMatMul"}), (9.0, {"Add", "DynamicQuantizeMatMul"})])
def test_free_zero_point_centres_unless_channels_rest_far_apart(spread: float, kinds: set[str]) -> None:
    graph, x = centred(np.linspace(1, 1 + spread, 8).astype(np.float32)), keypoints()
    rewritten = with_integer_products(graph, dynamic=True)
    assert {node.op_type for node in rewritten.nodes} == kinds
    exact = graph.copy()
    exact.set_input(only(exact, "MatMul"), 0, "x_centred")
    assert np.abs(rewritten.run(x) - exact.run(x)).max() < 0.6


def test_step_of_each_column_moves_into_the_factor_that_scales_it() -> None:
    factor = np.random.default_rng(2).normal(size=(5, 6)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x_dq", "w_dq"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["q"]),
        helper.make_node("Mul", ["q", "f"], ["y"]),
    ]
    for dynamic in (False, True):
        before = with_integer_products(quantized(nodes, weight(8, 6), b=BIAS, f=factor), dynamic)
        after = before.copy()
        move_steps(after)
        product = next(node for node in after.nodes if "MatMul" in node.op_type)
        steps = [after.stored[name].dims for name in product.input if "step" in name and name != "step"]
        assert [len(dims) for dims in steps] == [0]
        np.testing.assert_allclose(after.run(keypoints()), before.run(keypoints()), atol=1e-5)


@pytest.mark.parametrize("name", PRODUCTS)
def test_steps_stay_where_no_factor_can_take_them(name: str) -> None:
    graph = with_integer_products(PRODUCTS[name])
    before = graph.proto.SerializeToString()
    move_steps(graph)
    assert graph.proto.SerializeToString() == before


OTHERS = {
    "zero point of the weight": quantized(
        [helper.make_node("MatMul", ["x_dq", "w_dq"], ["y"])], weight(8, 6), w_zero=np.ones(6, np.int8)
    ),
    "zero point that is not zero": quantized(
        [helper.make_node("MatMul", ["x_dq", "w_dq"], ["y"])], weight(8, 6), zero=np.array(3, np.int8)
    ),
    "steps by input channel": quantized([helper.make_node("MatMul", ["x_dq", "w_dq"], ["y"])], weight(8, 6), 0),
    "matrix bias": quantized(
        [helper.make_node("Gemm", ["x_dq", "w_dq", "b"], ["y"])], weight(8, 6), b=np.ones((5, 6), np.float32)
    ),
    "product of two activations": quantized([helper.make_node("Gemm", ["x_dq", "x_dq"], ["y"], transB=1)], weight(8, 6)),
    "float": make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], [5, 8], {"w": weight(8, 6).astype(np.float32)}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_forms_stay_as_they_are(name: str) -> None:
    assert with_integer_products(OTHERS[name]).proto == OTHERS[name].proto


def test_exported_graph_keeps_no_float_copy_of_an_int8_weight(small_bundle: Path) -> None:
    rewritten = with_integer_products(Graph.load(small_bundle / "nanohtnet_int8.onnx"))
    assert "DequantizeLinear" not in {node.op_type for node in rewritten.nodes}


def test_lifter_gives_the_poses_of_the_file_as_written(small_bundle: Path) -> None:
    file = small_bundle / "nanohtnet_int8.onnx"
    as_written = OnnxLifter(file, optimize=False)
    difference = np.abs(OnnxLifter(file)(windows()) - as_written(windows()))
    assert np.median(difference) < 1e-6
    assert difference.max() < 1e-3  # where float rounding moves a value over the edge of its INT8 step


def test_a_report_of_times_is_told_what_ran(small_bundle: Path) -> None:
    assert OnnxLifter(small_bundle / "nanohtnet_fp32.onnx").timed_as == ()
    (said,) = OnnxLifter(small_bundle / "nanohtnet_int8.onnx").timed_as
    assert "run.py runs it as written" in said
    assert OnnxLifter(small_bundle / "nanohtnet_int8.onnx", optimize=False).timed_as == ()
