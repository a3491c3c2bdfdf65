"""A layer that reads its input in two steps loses almost nothing to rounding, and its weight is stored once."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from poseedge.arrays import Float32Array
from poseedge.errors import PoseedgeError
from poseedge.export.pipeline import export_bundle
from poseedge.export.recipe import Int8, load_recipe
from poseedge.graph.graph import Graph
from poseedge.int8.integer_products import with_integer_products
from poseedge.int8.placement import Placement, place, quantizable_layers
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import QMAX, calibrate, center
from poseedge.int8.windows import ChannelStatistics
from tests.support import small_export
from tests.support.graphs import arrays, make_graph, simplified, windows

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)


@cache
def lifted(two_step: tuple[str, ...] = ()) -> Float32Array:
    """Return what the small network in INT8 makes of the reference windows."""
    graph = small_int8(two_step)
    return np.concatenate([graph.run(window[None]) for window in windows()])


@cache
def small_int8(two_step: tuple[str, ...]) -> Graph:
    graph = simplified(17)[0]
    placement = place(graph, two_step=list(two_step))
    return quantize(graph, placement, calibrate(graph, placement, windows()))


def int8_bytes(graph: Graph) -> int:
    return sum(value.nbytes for value in arrays(graph).values() if value.dtype == np.int8)


def product(operator: str, transposed: bool = False) -> tuple[Graph, Graph]:
    """Return one product with a bias, and the same in two steps; its weight loses nothing in INT8."""
    weight = RNG.integers(-126, 127, (16, 16))
    weight[0] = 127
    stored = np.ascontiguousarray(weight.T if transposed else weight).astype(np.float32) / 100
    bias = RNG.normal(size=16).astype(np.float32)
    if operator == "Gemm":
        nodes = [helper.make_node("Gemm", ["x", "w.weight", "w.bias"], ["y"], transB=int(transposed))]
    else:
        nodes = [helper.make_node("MatMul", ["x", "w.weight"], ["p"]), helper.make_node("Add", ["p", "w.bias"], ["y"])]
    graph = make_graph(nodes, [4, 16], {"w.weight": stored, "w.bias": bias})
    ones = np.ones(16)
    placement = Placement(graph.layers, frozenset({graph.nodes[0].output[0]}), frozenset(), {"x": ("x", "norm")})
    return graph, quantize(graph, placement, {"x": center(ChannelStatistics(-3 * ones, 5 * ones, ones), "x", "norm")})


@pytest.mark.parametrize(("operator", "transposed"), [("MatMul", False), ("Gemm", False), ("Gemm", True)])
def test_input_is_read_to_a_254th_of_a_step(operator: str, transposed: bool) -> None:
    exact, steps = product(operator, transposed)
    x = RNG.uniform(-3, 5, (4, 16)).astype(np.float32)
    finest = 4 / (QMAX - 0.5) / 254
    largest_sum = np.abs(arrays(exact)["w.weight"]).sum()
    difference = np.abs(steps.run(x) - exact.run(x)).max()
    assert 0 < difference < finest / 2 * largest_sum


def test_bias_is_added_once_and_the_weight_is_stored_once() -> None:
    exact, steps = product("Gemm")
    zero = np.zeros((4, 16), np.float32)
    np.testing.assert_allclose(steps.run(zero), exact.run(zero), atol=1e-3)
    assert Counter(node.op_type for node in steps.nodes)["Gemm"] == 2
    assert int8_bytes(steps) == 16 * 16 + 16 + 2  # values, their zero points, those of both activations


def test_network_in_two_steps_is_closer_to_float_than_in_one() -> None:
    expected = np.concatenate([simplified(17)[0].run(window[None]) for window in windows()])
    one, two = (np.abs(lifted(patterns) - expected).mean() for patterns in ((), ("*",)))
    assert two < 0.7 * one  # what remains is the rounding of the weights


def test_only_named_layers_are_read_in_two_steps() -> None:
    named = small_int8(("spatial.0.mlp.fc1",))
    before, after = (Counter(node.op_type for node in graph.nodes) for graph in (small_int8(()), named))
    assert after - before == {"Sub": 1, "QuantizeLinear": 1, "DequantizeLinear": 1, "MatMul": 1, "Add": 1}


def test_pattern_that_fits_no_layer_is_an_error() -> None:
    with pytest.raises(PoseedgeError, match=r"no INT8 layer matches 'spatial\.9\.\*'"):
        small_int8(("spatial.9.*",))


def test_both_products_are_integer_operators_on_a_cpu() -> None:
    graph = small_int8(("*",))
    rewritten = with_integer_products(graph)
    assert "DequantizeLinear" in {node.op_type for node in rewritten.nodes}  # the first step, to know what it left
    layers = len(quantizable_layers(simplified(17)[0], []))
    assert Counter(node.op_type for node in rewritten.nodes)["MatMulIntegerToFloat"] == 2 * layers
    window = windows()[:1]
    np.testing.assert_allclose(rewritten.run(window), graph.run(window), atol=1e-4)


@pytest.mark.parametrize("steady", [False, True])
def test_bundle_rounds_the_recipes_layers_in_two_steps_if_it_is_to_be_steady(
    steady: bool, export_inputs: Path, tmp_path: Path
) -> None:
    recipe = load_recipe(str(export_inputs / "small.toml"))
    recipe = recipe.model_copy(update={"int8": Int8(two_step=["spatial.*.mlp.fc1"])})
    job = small_export.job(export_inputs, tmp_path / "b", recipe=recipe, precisions=("int8",), steady=steady)
    found = export_bundle(job).calibration.two_step
    assert found == ([name for name in simplified(17)[0].layers if fnmatch(name, "spatial.*.mlp.fc1")] if steady else [])
