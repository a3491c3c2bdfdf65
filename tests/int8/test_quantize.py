"""INT8 as TensorRT reads it, only around the layers that are meant to take it, and with every offset compensated."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from poseedge.arrays import AnyArray
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.errors import PoseedgeError
from poseedge.graph.graph import Graph
from poseedge.int8.placement import place, quantizable_layers
from poseedge.int8.quantize import quantize, quantize_weight, weight_axis
from poseedge.int8.ranges import QMAX, calibrate, center
from poseedge.int8.windows import ChannelStatistics
from tests.support.graphs import arrays, make_graph, simplified, windows

pytestmark = pytest.mark.slow

WIDTH, HIDDEN = 32, 48
RNG = np.random.default_rng(0)
SAMPLES = RNG.normal(size=(8, 17, WIDTH)).astype(np.float32) + 1
node = helper.make_node


def on_grid(rows: int, columns: int) -> AnyArray:
    """Return weights that INT8 holds exactly: whole multiples of each column's step, the largest being 127 steps."""
    steps = RNG.integers(-126, 127, (rows, columns))
    steps[0] = 127
    return (steps * RNG.uniform(0.001, 0.01, columns)).astype(np.float32)


def off_grid(rows: int, columns: int) -> AnyArray:
    """Return weights that INT8 must round."""
    return np.asarray(RNG.normal(0, 0.2, (rows, columns)), np.float32)


def weights(exact: bool) -> dict[str, AnyArray]:
    """Return the weights of ``stack``; exact ones lose nothing in INT8."""
    make = on_grid if exact else off_grid
    shapes = {"first": (WIDTH, WIDTH), "up": (WIDTH, HIDDEN), "down": (HIDDEN, WIDTH), "last": (WIDTH, 3)}
    matrices = {f"{name}.weight": make(*shape) for name, shape in shapes.items()}
    biases = {f"{name}.bias": RNG.normal(size=shape[1]).astype(np.float32) for name, shape in shapes.items()}
    return {**matrices, **biases}


def stack(middle: list[onnx.NodeProto], more: dict[str, AnyArray], exact: bool = True) -> Graph:
    """Return a graph: a first layer to ``a``, ``middle`` from ``a`` to ``b``, a last layer from ``b``."""
    first = [node("MatMul", ["x", "first.weight"], ["f"]), node("Add", ["f", "first.bias"], ["g"]), node("Relu", ["g"], ["a"])]
    last = [node("MatMul", ["b", "last.weight"], ["l"]), node("Add", ["l", "last.bias"], ["y"])]
    nodes = [*first, *middle, *last]
    used = {name for entry in nodes for name in entry.input}
    tensors = {name: value for name, value in {**weights(exact), **more}.items() if name in used}
    return make_graph(nodes, [1, 17, WIDTH], tensors)


def residual_mlp(exact: bool = True) -> Graph:
    """Return a stack with ``b = a + down(relu(up(a)))``."""
    middle = [
        node("MatMul", ["a", "up.weight"], ["u"], name="up"),
        node("Add", ["u", "up.bias"], ["ub"], name="up_bias"),
        node("Relu", ["ub"], ["h"], name="relu"),
        node("MatMul", ["h", "down.weight"], ["d"], name="down"),
        node("Add", ["down.bias", "d"], ["db"], name="down_bias"),
        node("Add", ["a", "db"], ["b"], name="skip"),
    ]
    return stack(middle, {}, exact)


def quantized(
    graph: Graph,
    samples: AnyArray = SAMPLES,
    keep: tuple[str, ...] = (),
    migrate: float = 0.0,
) -> Graph:
    placement = place(graph, list(keep))
    return quantize(graph, placement, calibrate(graph, placement, samples, migrate=migrate))


@cache
def small_int8(opset: int = 17) -> Graph:
    return quantized(simplified(opset)[0], windows(), migrate=0.7)


def of_kind(graph: Graph, kind: str) -> list[onnx.NodeProto]:
    return [entry for entry in graph.nodes if entry.op_type == kind]


def without_activation_rounding(graph: Graph) -> Graph:
    """Return ``model`` with every activation's Q and DQ replaced by nothing: only weights are still rounded."""
    copy = graph.copy()
    made_by = copy.makers
    for entry in copy.nodes:
        if entry.op_type == "DequantizeLinear" and entry.input[0] in made_by:
            source = made_by[entry.input[0]].input[0]
            entry.CopyFrom(node("Identity", [source], list(entry.output)))
    return copy


def outputs(graph: Graph, samples: AnyArray = SAMPLES) -> AnyArray:
    return np.concatenate([graph.run(sample[None]) for sample in samples])


# Which layers


def test_raw_input_and_output_layers_stay_float_by_structure() -> None:
    graph, _ = simplified(17)
    left_out = set(graph.layers) - set(quantizable_layers(graph, []))
    assert left_out == {"temporal_embed", "spatial_embed", "spatial_head", "temporal_head"}


@pytest.mark.parametrize("shape", [(WIDTH, 15), (15, WIDTH)])
def test_layer_narrower_than_sixteen_stays_float(shape: tuple[int, int]) -> None:
    narrow, wide = RNG.normal(size=shape), RNG.normal(size=shape[::-1])
    chain = [narrow, wide] if shape[0] == WIDTH else [RNG.normal(size=(WIDTH, 15)), narrow]
    middle = [node("MatMul", ["a", "one.weight"], ["t"]), node("MatMul", ["t", "two.weight"], ["b"])]
    graph = stack(middle, {f"{name}.weight": value.astype(np.float32) for name, value in zip(("one", "two"), chain, strict=True)})
    assert quantizable_layers(graph, []) == {}


def test_layer_of_sixteen_takes_int8() -> None:
    middle = [node("MatMul", ["a", "one.weight"], ["t"]), node("MatMul", ["t", "two.weight"], ["b"])]
    more = {"one.weight": np.ones((WIDTH, 16), np.float32), "two.weight": np.ones((16, WIDTH), np.float32)}
    assert list(quantizable_layers(stack(middle, more), [])) == ["one", "two"]


def test_kept_layers_stay_float() -> None:
    assert list(quantizable_layers(residual_mlp(), ["u*"])) == ["down"]


def test_pattern_that_fits_no_layer_is_an_error_naming_the_layers() -> None:
    with pytest.raises(PoseedgeError, match=r"no layer matches 'middle\*'") as caught:
        quantizable_layers(residual_mlp(), ["middle*"])
    assert caught.value.hint.endswith("Known: first, up, down, last")


def test_products_of_two_activations_are_no_layers() -> None:
    graph = stack([node("Transpose", ["a"], ["t"]), node("MatMul", ["a", "t"], ["s"]), node("MatMul", ["s", "a"], ["b"])], {})
    assert list(graph.layers) == ["first", "last"]


def test_constant_on_the_left_is_no_layer() -> None:
    graph = stack([node("MatMul", ["mixing", "a"], ["b"])], {"mixing": np.ones((17, 17), np.float32)})
    assert list(graph.layers) == ["first", "last"]


# What the graph looks like


def test_activations_are_symmetric_int8() -> None:
    constants = arrays(small_int8())
    for entry in of_kind(small_int8(), "QuantizeLinear"):
        scale, zero = (constants[name] for name in entry.input[1:])
        assert (zero.dtype, zero.shape, int(zero)) == (np.dtype(np.int8), (), 0)
        assert (scale.dtype, scale.shape) == (np.dtype(np.float32), ())
        assert scale > 0


def test_every_quantized_activation_is_dequantized_with_the_same_scale() -> None:
    dequantizers = {entry.input[0]: entry for entry in of_kind(small_int8(), "DequantizeLinear")}
    for entry in of_kind(small_int8(), "QuantizeLinear"):
        assert list(dequantizers[entry.output[0]].input[1:]) == list(entry.input[1:])


def weight_dequantizers(graph: Graph) -> list[onnx.NodeProto]:
    return [entry for entry in of_kind(graph, "DequantizeLinear") if entry.input[0] in arrays(graph)]


def test_weights_are_symmetric_int8_with_a_scale_for_each_output_channel() -> None:
    constants = arrays(small_int8())
    for entry in weight_dequantizers(small_int8()):
        values, scales, zeros = (constants[name] for name in entry.input)
        assert values.dtype == zeros.dtype == np.int8
        assert [a.i for a in entry.attribute if a.name == "axis"] == [1]
        assert scales.shape == zeros.shape == values.shape[1:]
        assert not zeros.any()


def test_every_chosen_layer_reads_int8_on_both_sides() -> None:
    chosen = set(quantizable_layers(simplified(17)[0], []))
    dequantized = {entry.output[0] for entry in of_kind(small_int8(), "DequantizeLinear")}
    layers = [entry for entry in of_kind(small_int8(), "MatMul") if dequantized.issuperset(entry.input)]
    assert {entry.input[1].removesuffix(".weight_dq") for entry in layers} == chosen


def test_nothing_but_layers_reads_a_dequantized_tensor() -> None:
    readers = small_int8().readers
    found = {reader.op_type for entry in of_kind(small_int8(), "DequantizeLinear") for reader in readers[entry.output[0]]}
    assert found == {"MatMul"}


def test_skip_path_keeps_the_float_tensor() -> None:
    skip = next(entry for entry in quantized(residual_mlp()).nodes if entry.name == "skip")
    assert skip.input[0] == "a"


def test_float_weights_of_quantized_layers_are_gone() -> None:
    assert not {"up.weight", "down.weight", "up.bias"} & arrays(quantized(residual_mlp())).keys()


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_graph_passes_the_checker(opset: int) -> None:
    onnx.checker.check_model(small_int8(opset).proto, full_check=True)


def test_float_graph_is_left_as_it_was() -> None:
    graph = residual_mlp()
    before = graph.proto.SerializeToString(deterministic=True)
    quantized(graph)
    assert graph.proto.SerializeToString(deterministic=True) == before


# What the graph computes


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


# Centring in a norm, and bringing channels nearer to each other there


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


# The numbers


channel_ranges = st.lists(st.tuples(st.floats(-500, 500), st.floats(0, 100)), min_size=1, max_size=6)


def statistics_of(ranges: list[tuple[float, float]]) -> ChannelStatistics:
    low = np.array([start for start, _ in ranges])
    high = low + np.array([length for _, length in ranges])
    high[0] = low[0] + 1  # something moves
    return ChannelStatistics(low, high, (low + high) / 2)


@given(channel_ranges)
def test_no_calibration_value_is_clipped(ranges: list[tuple[float, float]]) -> None:
    statistics = statistics_of(ranges)
    for migrate in (0.0, 0.7):
        found = center(statistics, "t", "norm", migrate)
        for edge in (statistics.low, statistics.high):
            assert np.abs(np.rint((edge - found.offset) / found.divisor / found.step)).max() <= QMAX


@given(channel_ranges)
def test_zero_is_a_value_of_the_grid_of_every_channel(ranges: list[tuple[float, float]]) -> None:
    found = center(statistics_of(ranges), "t", "norm", migrate=0.7)
    steps = found.offset / found.divisor / found.step
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)


def test_the_widest_channel_uses_the_whole_range() -> None:
    found = center(ChannelStatistics(np.array([-0.17, -1.0]), np.array([6.0, 1.0]), np.zeros(2)), "t", "norm")
    assert np.rint((6.0 - found.offset[0]) / found.step) >= QMAX - 1
    assert np.rint((-0.17 - found.offset[0]) / found.step) <= 1 - QMAX


def test_tensor_that_never_changes_is_an_error() -> None:
    with pytest.raises(PoseedgeError, match="attention never changes"):
        center(ChannelStatistics(np.ones(4), np.ones(4), np.ones(4)), "attention", "norm")


@pytest.mark.parametrize("axis", [0, 1])
def test_weight_is_rounded_to_half_a_step_of_its_output_channel(axis: int) -> None:
    weight = RNG.normal(size=(20, 30)).astype(np.float32) * np.geomspace(1e-3, 1e3, 30, dtype=np.float32)
    weight = weight if axis == 1 else np.ascontiguousarray(weight.T)
    values, scales = quantize_weight(weight, axis)
    broad = scales[:, None] if axis == 0 else scales
    assert (np.abs(values * broad - weight) <= 0.5001 * broad).all()
    assert set(np.abs(values).max(axis=1 - axis)) == {127}


def test_channel_of_zeros_stays_zero() -> None:
    values, scales = quantize_weight(np.zeros((4, 3), np.float32), axis=1)
    assert not values.any()
    assert (scales == 1).all()


def test_weight_axis_counts_output_channels() -> None:
    assert weight_axis(node("MatMul", ["x", "w"], ["y"])) == 1
    assert weight_axis(node("Gemm", ["x", "w"], ["y"], transB=0)) == 1
    assert weight_axis(node("Gemm", ["x", "w"], ["y"], transB=1)) == 0
