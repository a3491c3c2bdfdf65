"""A layer is timed alone, cut out of the float and of the INT8 graph, with its rounding and its bias."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from poseedge.bench import layer_savings
from poseedge.bench.layer_savings import candidates, cut_out, saved_ms
from poseedge.graph.graph import Graph
from poseedge.int8.integer_products import with_integer_products
from poseedge.int8.placement import Placement, place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from tests.support.graphs import arrays, simplified, windows

LAYER = "spatial.0.mlp.fc2"


def graphs() -> tuple[Graph, Graph, Placement]:
    graph = simplified(17)[0]
    placement = place(graph)
    return graph, quantize(graph, placement, calibrate(graph, placement, windows())), placement


def test_cut_out_layer_computes_what_it_does_in_the_graph() -> None:
    graph, _, placement = graphs()
    layer = placement.layers[LAYER]
    product = cut_out(graph, layer.input[0], layer.output[0], (17, 64))
    x = np.random.default_rng(0).normal(size=(17, 64)).astype(np.float32)
    np.testing.assert_allclose(product.evaluator()(x)[0], x @ arrays(graph)[f"{LAYER}.weight"], rtol=1e-4, atol=1e-5)


def test_int8_form_holds_rounding_and_one_product_with_its_bias() -> None:
    graph, int8, placement = graphs()
    layer = placement.layers[LAYER]
    (bias,) = (node for node in graph.nodes if layer.output[0] in node.input)
    cut = cut_out(with_integer_products(int8), layer.input[0], bias.output[0], (17, 64))
    operators = Counter(node.op_type for node in cut.nodes)
    assert operators == {"Add": 1, "QuantizeLinear": 1, "MatMulIntegerToFloat": 1}  # the addition centres


def test_both_forms_run_and_give_the_same_shape() -> None:
    graph, int8, placement = graphs()
    for layer in placement.layers.values():
        calls = candidates(graph, with_integer_products(int8), layer)
        one, other = (call()[0].shape for call in calls.values())  # type: ignore[index]
        assert one == other


def test_saved_is_float_less_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_savings, "median_ms", lambda forms, rounds: {"float": 0.5, "int8": 0.2})
    assert saved_ms(*graphs()) == pytest.approx(dict.fromkeys(graphs()[2].layers, 0.3))
