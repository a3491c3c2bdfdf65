"""Level B adds the products of attention; sizes below sixteen stay out everywhere."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from poseedge.graph.graph import Graph
from poseedge.int8.placement import Level, place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from tests.support.graphs import make_graph, simplified

RNG = np.random.default_rng(0)
node = helper.make_node


def block(tokens: int = 17, width: int = 32, heads: int = 2) -> Graph:
    """Return one transformer block between a first and a last layer."""
    head = width // heads
    split = [node("Reshape", [f"{part}b", "rows"], [f"{part}r"]) for part in "qkv"]
    swap = [node("Transpose", [f"{part}r"], [f"{part}h"], perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]) for part in "qkv"]
    layers = [
        [node("MatMul", ["n", f"{part}.weight"], [f"{part}p"]), node("Add", [f"{part}p", "bias"], [f"{part}b"])] for part in "qkv"
    ]
    nodes = [
        node("MatMul", ["x", "first.weight"], ["a"]),
        node("LayerNormalization", ["a", "gain", "bias"], ["n"]),
        *(entry for pair in layers for entry in pair),
        *split,
        *swap,
        node("MatMul", ["qh", "kh"], ["scores"]),
        node("Softmax", ["scores"], ["weights"]),
        node("MatMul", ["weights", "vh"], ["mixed"]),
        node("Transpose", ["mixed"], ["joined"], perm=[0, 2, 1, 3]),
        node("Reshape", ["joined", "flat"], ["m"]),
        node("MatMul", ["m", "proj.weight"], ["pp"]),
        node("Add", ["pp", "bias"], ["pb"]),
        node("Add", ["a", "pb"], ["b"]),
        node("MatMul", ["b", "last.weight"], ["y"]),
    ]
    weights = {
        f"{name}.weight": RNG.normal(0, 0.3, (width, width)).astype(np.float32)
        for name in ("first", "q", "k", "v", "proj", "last")
    }
    constants = {"rows": np.array([1, tokens, heads, head]), "flat": np.array([1, tokens, width])}
    norms = {"gain": np.ones(width, np.float32), "bias": RNG.normal(size=width).astype(np.float32)}
    return make_graph(nodes, [1, tokens, width], {**weights, **constants, **norms})


def test_level_a_takes_layers_alone() -> None:
    placement = place(block())
    assert list(placement.layers) == ["q", "k", "v", "proj"]
    assert not placement.attention


def test_level_b_adds_both_products_of_attention() -> None:
    placement = place(block(), level="B")
    assert placement.attention == {"scores", "mixed"}
    plain = {tensor for tensor, centring in placement.tensors.values() if centring == "none"}
    assert plain == {"qh", "kh", "weights", "vh"}


@pytest.mark.parametrize(("tokens", "heads", "products"), [(17, 4, 0), (9, 2, 0), (16, 2, 2)])
def test_products_of_attention_that_are_narrower_than_sixteen_stay_float(tokens: int, heads: int, products: int) -> None:
    assert len(place(block(tokens, heads=heads), level="B").attention) == products


@pytest.mark.parametrize(("behind_a_norm", "layers"), [(True, ["second"]), (False, [])])
def test_layer_that_a_skip_path_reaches_from_the_input_is_a_first_unless_a_norm_stands_between(
    behind_a_norm: bool, layers: list[str]
) -> None:
    width = 32
    nodes = [
        node("LayerNormalization", ["x", "gain", "bias"], ["n"]),
        node("MatMul", ["n", "first.weight"], ["a"]),
        node("Add", ["x", "a"], ["b"]),
        node("LayerNormalization", ["b", "gain", "bias"], ["m"]),
        node("MatMul", ["m" if behind_a_norm else "b", "second.weight"], ["c"]),
        node("Add", ["m", "c"], ["d"]),
        node("MatMul", ["d", "last.weight"], ["y"]),
    ]
    weights = {f"{name}.weight": RNG.normal(size=(width, width)).astype(np.float32) for name in ("first", "second", "last")}
    norms = {"gain": np.ones(width, np.float32), "bias": RNG.normal(size=width).astype(np.float32)}
    assert list(place(make_graph(nodes, [1, 17, width], {**weights, **norms})).layers) == layers


def test_layer_behind_a_convolution_is_no_first() -> None:
    nodes = [
        node("Conv", ["x", "embed.weight"], ["a"]),
        node("MatMul", ["a", "second.weight"], ["b"]),
        node("MatMul", ["b", "last.weight"], ["y"]),
    ]
    shapes = {"embed": (17, 17, 1), "second": (32, 32), "last": (32, 32)}
    weights = {f"{name}.weight": RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    assert list(place(make_graph(nodes, [1, 17, 32], weights)).layers) == ["second"]


@pytest.mark.parametrize("level", ["A", "B"])
def test_every_level_gives_a_valid_graph_close_to_the_float_one(level: Level) -> None:
    graph = block()
    samples = RNG.normal(size=(8, 17, 32)).astype(np.float32)
    placement = place(graph, level=level)
    result = quantize(graph, placement, calibrate(graph, placement, samples, migrate=0.7))
    onnx.checker.check_model(result.proto, full_check=True)
    exact = np.concatenate([graph.run(sample[None]) for sample in samples])
    found = np.concatenate([result.run(sample[None]) for sample in samples])
    assert 0 < np.abs(found - exact).mean() < 0.05 * np.abs(exact).mean()


def test_head_width_of_the_small_network_keeps_its_attention_float() -> None:
    assert not place(simplified(17)[0], level="B").attention
