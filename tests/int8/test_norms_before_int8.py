"""Centring in a norm, and bringing channels nearer to each other there."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from poseedge.graph.graph import Graph
from poseedge.int8.ranges import center
from poseedge.int8.windows import ChannelStatistics
from tests.support.int8_stacks import (
    RNG,
    WIDTH,
    node,
    of_kind,
    on_grid,
    outputs,
    quantized,
    stack,
    weight_dequantizers,
    without_activation_rounding,
)

pytestmark = pytest.mark.slow


def norm_stack(readers: list[onnx.NodeProto], biased: bool = True, output: str | None = None) -> Graph:
    """Return a stack whose ``n`` is the layer normalisation of ``a``; ``output`` leaves the graph beside ``y``."""
    norm = node("LayerNormalization", ["a", "gain", *(["shift"] if biased else [])], ["n"], name="norm")
    more = {name: RNG.normal(1, 0.3, WIDTH).astype(np.float32) for name in ("gain", "shift")}
    graph = stack([norm, *readers], more | {"one.weight": on_grid(WIDTH, WIDTH), "two.weight": on_grid(WIDTH, WIDTH)})
    if output:
        graph.proto.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    return graph


ONE_READER = [node("MatMul", ["n", "one.weight"], ["u"]), node("Add", ["u", "first.bias"], ["b"])]
TWO_LAYERS = [
    node("MatMul", ["n", "one.weight"], ["u"]),
    node("Add", ["u", "first.bias"], ["ub"]),
    node("MatMul", ["n", "two.weight"], ["v"]),
    node("Add", ["v", "first.bias"], ["vb"]),
    node("Add", ["ub", "vb"], ["b"]),
]
FLOAT_READER = [node("MatMul", ["n", "one.weight"], ["u"]), node("Add", ["u", "n"], ["b"])]


@pytest.mark.parametrize("readers", [ONE_READER, TWO_LAYERS], ids=["one", "two"])
@pytest.mark.parametrize("biased", [True, False])
def test_norm_that_only_layers_read_takes_the_offset_into_its_bias(readers: list[onnx.NodeProto], biased: bool) -> None:
    graph = norm_stack(readers, biased)
    result = quantized(graph)
    assert not [entry for entry in of_kind(result, "Add") if entry.name.endswith("_center")]
    np.testing.assert_allclose(outputs(without_activation_rounding(result)), outputs(graph), rtol=1e-5, atol=2e-4)


def test_channels_behind_a_norm_share_the_steps_more_evenly() -> None:
    statistics = ChannelStatistics(np.array([-8.0, -0.5]), np.array([8.0, 0.5]), np.zeros(2))
    steps = [
        0.5 / center(statistics, "t", "norm", migrate).divisor[1] / center(statistics, "t", "norm").step
        for migrate in (0, 0.5, 1)
    ]
    np.testing.assert_allclose(steps, [126.5 / 16, 126.5 / 4, 126.5])


def test_weight_takes_back_what_the_norm_was_divided_by() -> None:
    graph = norm_stack(ONE_READER)
    exact = outputs(graph)
    rounded = outputs(without_activation_rounding(quantized(graph, migrate=0.7)))
    assert np.abs(rounded - exact).mean() < 0.01 * np.abs(exact).mean()


def test_layers_that_share_a_weight_behind_different_norms_each_get_their_own() -> None:
    readers = [
        node("MatMul", ["n", "one.weight"], ["u"]),
        node("Add", ["u", "first.bias"], ["ub"]),
        node("MatMul", ["ub", "one.weight"], ["v"]),
        node("Add", ["v", "first.bias"], ["b"]),
    ]
    graph = norm_stack(readers)
    exact = outputs(graph)
    result = quantized(graph, migrate=0.7)
    assert len(weight_dequantizers(result)) == 2
    assert np.abs(outputs(without_activation_rounding(result)) - exact).mean() < 0.01 * np.abs(exact).mean()


def test_norm_that_something_else_reads_keeps_its_bias() -> None:
    graph = norm_stack(FLOAT_READER)
    result = quantized(graph)
    assert next(entry for entry in result.nodes if entry.name == "norm").input[2] == "shift"
    np.testing.assert_allclose(outputs(without_activation_rounding(result)), outputs(graph), rtol=1e-5, atol=2e-4)


def test_norm_that_leaves_the_graph_keeps_its_bias() -> None:
    result = quantized(norm_stack(ONE_READER, output="n"))
    assert next(entry for entry in result.nodes if entry.name == "norm").input[2] == "shift"
