"""INT8 as TensorRT reads it, and only around the layers that are meant to take it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from poseedge.errors import PoseedgeError
from poseedge.int8.placement import quantizable_layers
from tests.support.graphs import arrays, simplified
from tests.support.int8_stacks import (
    RNG,
    WIDTH,
    node,
    of_kind,
    quantized,
    residual_mlp,
    small_int8,
    stack,
    weight_dequantizers,
)

pytestmark = pytest.mark.slow


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
