"""What an INT8 graph computes: every offset is compensated, and the poses stay close to the float graph's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.graph.graph import Graph
from poseedge.int8.placement import quantizable_layers
from tests.support.graphs import arrays, make_graph, simplified, windows
from tests.support.int8_stacks import (
    HIDDEN,
    RNG,
    SAMPLES,
    WIDTH,
    node,
    of_kind,
    on_grid,
    outputs,
    quantized,
    residual_mlp,
    small_int8,
    stack,
    weight_dequantizers,
    without_activation_rounding,
)

pytestmark = pytest.mark.slow


def test_offsets_are_compensated_exactly() -> None:
    graph = residual_mlp()
    np.testing.assert_allclose(outputs(without_activation_rounding(quantized(graph))), outputs(graph), atol=2e-4)


def test_offsets_of_the_network_are_given_back_up_to_the_rounding_of_its_weights() -> None:
    exact = simplified(17)[0].run(windows()[:1])
    coarse = small_int8().run(windows()[:1])
    fine = without_activation_rounding(small_int8()).run(windows()[:1])
    assert np.abs(fine - exact).mean() < np.abs(coarse - exact).mean() < 0.05


def test_rounded_weights_leave_the_mean_of_a_layer_where_it_was() -> None:
    graph = residual_mlp(exact=False)
    rounded = without_activation_rounding(quantized(graph, keep=("down",)))
    exact, found = (np.mean([with_output(m, "ub").evaluator()(s[None])[0] for s in SAMPLES], axis=0) for m in (graph, rounded))
    np.testing.assert_allclose(found.mean(axis=(0, 1)), exact.mean(axis=(0, 1)), atol=1e-5)


def with_output(graph: Graph, name: str) -> Graph:
    copy = graph.copy()
    del copy.proto.graph.output[:]
    copy.proto.graph.output.append(onnx.ValueInfoProto(name=name))
    return copy


def test_result_is_close_to_the_float_graph() -> None:
    graph = residual_mlp(exact=False)
    exact = outputs(graph)
    assert np.abs(outputs(quantized(graph)) - exact).mean() < 0.02 * np.abs(exact).mean()


def test_two_layers_may_share_a_weight() -> None:
    middle = [
        node("MatMul", ["a", "first.weight"], ["u"]),
        node("Relu", ["u"], ["h"]),
        node("MatMul", ["h", "first.weight"], ["b"]),
    ]
    graph = stack(middle, {})
    assert list(quantizable_layers(graph, [])) == ["first#2", "first#3"]
    np.testing.assert_allclose(outputs(without_activation_rounding(quantized(graph))), outputs(graph), rtol=1e-5, atol=2e-4)


def test_two_layers_may_share_a_bias() -> None:
    middle = [
        node("MatMul", ["a", "one.weight"], ["u"]),
        node("Add", ["u", "first.bias"], ["h"]),
        node("MatMul", ["h", "two.weight"], ["v"]),
        node("Add", ["v", "first.bias"], ["b"]),
    ]
    graph = stack(middle, {"one.weight": on_grid(WIDTH, WIDTH), "two.weight": on_grid(WIDTH, WIDTH)})
    np.testing.assert_allclose(outputs(without_activation_rounding(quantized(graph))), outputs(graph), rtol=1e-5, atol=2e-4)


def test_two_layers_that_read_one_tensor_share_its_rounding() -> None:
    middle = [
        node("MatMul", ["a", "one.weight"], ["u"]),
        node("MatMul", ["a", "two.weight"], ["v"]),
        node("Add", ["u", "v"], ["b"]),
    ]
    graph = quantized(stack(middle, {"one.weight": on_grid(WIDTH, WIDTH), "two.weight": on_grid(WIDTH, WIDTH)}))
    assert len(of_kind(graph, "QuantizeLinear")) == 1


def test_product_that_others_read_too_gets_a_bias_of_its_own() -> None:
    middle = [
        node("MatMul", ["a", "one.weight"], ["u"]),
        node("Add", ["u", "first.bias"], ["v"]),
        node("Add", ["u", "v"], ["b"]),
    ]
    graph = stack(middle, {"one.weight": on_grid(WIDTH, WIDTH)})
    np.testing.assert_allclose(outputs(without_activation_rounding(quantized(graph))), outputs(graph), rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_offset_of_a_gemm_is_compensated(transposed: bool, biased: bool) -> None:
    graph = gemm_stack(transposed, biased)
    samples = SAMPLES[:, 0]  # a Gemm takes matrices
    np.testing.assert_allclose(
        outputs(without_activation_rounding(quantized(graph, samples)), samples), outputs(graph, samples), rtol=1e-5, atol=2e-4
    )


@pytest.mark.parametrize(("transposed", "axis"), [(False, 1), (True, 0)])
def test_gemm_weight_has_its_scales_along_the_output_channels(transposed: bool, axis: int) -> None:
    graph = quantized(gemm_stack(transposed, biased=True), SAMPLES[:, 0])
    (entry,) = weight_dequantizers(graph)
    assert [a.i for a in entry.attribute if a.name == "axis"] == [axis]
    assert arrays(graph)[entry.input[1]].shape == (HIDDEN,)


def gemm_stack(transposed: bool, biased: bool) -> Graph:
    """Return first layer, a Gemm to 48 channels, last layer, on ``x (1, 32)``."""
    weight = on_grid(WIDTH, HIDDEN)
    nodes = [
        node("MatMul", ["x", "first.weight"], ["a"]),
        node("Gemm", ["a", "up.weight", *(["up.bias"] if biased else [])], ["b"], transB=int(transposed)),
        node("MatMul", ["b", "last.weight"], ["y"]),
    ]
    tensors = {
        "first.weight": on_grid(WIDTH, WIDTH),
        "up.weight": np.ascontiguousarray(weight.T) if transposed else weight,
        "last.weight": on_grid(HIDDEN, 3),
        **({"up.bias": RNG.normal(size=HIDDEN).astype(np.float32)} if biased else {}),
    }
    return make_graph(nodes, [1, WIDTH], tensors)


def test_onnx_runtime_computes_the_same_with_and_without_its_optimizations(small_bundle: Path) -> None:
    path = small_bundle / "nanohtnet_int8.onnx"
    poses, plain = (OnnxLifter(path, optimize=optimize)(windows()) for optimize in (True, False))
    assert np.abs(poses - plain).mean() < 1e-3
