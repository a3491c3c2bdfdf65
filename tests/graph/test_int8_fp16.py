"""The graph that mixes INT8 and FP16: what INT8 multiplies stays as it was, and everything around it is in half precision."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from poseedge.arrays import AnyArray
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.bundle.manifest import MANIFEST
from poseedge.errors import PoseedgeError
from poseedge.graph.fp16 import to_fp16, to_int8_fp16
from poseedge.graph.graph import Graph
from poseedge.graph.structure import decomposed_norms
from poseedge.int8.placement import place, quantizable_layers
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from poseedge.targets.boards import load_target
from poseedge.targets.preflight import check_graph, passed
from tests.support.graphs import arrays, simplified, windows

KEEP = ("dct", "temporal_embed")
FC1 = "spatial.0.mlp.fc1"
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@cache
def int8(opset: int = 17, two_step: tuple[str, ...] = ()) -> Graph:
    graph = simplified(opset)[0]
    placement = place(graph, two_step=list(two_step))
    return quantize(graph, placement, calibrate(graph, placement, windows()))


@cache
def mixed(opset: int = 17, two_step: tuple[str, ...] = (), keep: tuple[str, ...] = KEEP) -> Graph:
    return to_int8_fp16(int8(opset, two_step), simplified(opset)[0], list(keep))


def types(graph: Graph) -> dict[str, int]:
    """Return the element type of every tensor."""
    inferred = onnx.shape_inference.infer_shapes(graph.proto).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    known = {value.name: value.type.tensor_type.elem_type for value in values}
    return known | {name: tensor.data_type for name, tensor in graph.stored.items()}


def lifted(graph: Graph) -> AnyArray:
    evaluate = graph.evaluator()
    return np.concatenate([evaluate(window[None])[0] for window in windows()])


def distance_mm(one: Graph, other: Graph) -> float:
    """Return the mean distance between what two graphs make of the reference windows."""
    return float(np.linalg.norm(lifted(one) - lifted(other), axis=-1).mean() * 1000)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("two_step", [(), ("*",)], ids=["", "steady"])
def test_graph_is_valid_and_takes_and_gives_float32(opset: int, two_step: tuple[str, ...]) -> None:
    graph = mixed(opset, two_step)
    onnx.checker.check_model(graph.proto, full_check=True)
    assert graph.opset == opset
    assert [v.type.tensor_type.elem_type for v in (*graph.proto.graph.input, *graph.proto.graph.output)] == [FLOAT] * 2


def test_int8_weights_and_all_scales_are_those_of_the_int8_graph() -> None:
    of_int8, of_mixed = arrays(int8()), arrays(mixed())
    quantized = {name for name, value in of_int8.items() if value.dtype == np.int8 or name.endswith("_scale")}
    assert len(quantized) > 3 * len(quantizable_layers(simplified(17)[0], []))
    for name in quantized:
        np.testing.assert_array_equal(of_mixed[name], of_int8[name])
        assert of_mixed[name].dtype == of_int8[name].dtype


@pytest.mark.parametrize("two_step", [(), ("*",)], ids=["", "steady"])
def test_quantized_products_take_and_give_half_precision(two_step: tuple[str, ...]) -> None:
    graph = mixed(17, two_step)
    kinds, made_by = types(graph), graph.makers
    casts = {name for name, node in made_by.items() if node.op_type == "Cast"}
    behind = {name for name in casts if getattr(made_by.get(made_by[name].input[0]), "op_type", "") == "DequantizeLinear"}
    products = [node for node in graph.nodes if node.op_type in ("MatMul", "Gemm") and node.input[1] in behind]
    layers = len(quantizable_layers(simplified(17)[0], []))
    assert len(products) == layers * (2 if two_step else 1)
    assert {kinds[name] for node in products for name in (*node.input[:2], *node.output)} == {HALF}


def test_everything_else_has_the_types_of_the_fp16_graph() -> None:
    half, found = types(to_fp16(simplified(17)[0], list(KEEP))), types(mixed())
    shared = [node.output[0] for node in simplified(17)[0].nodes if node.output[0] in found and node.output[0] in half]
    assert len(shared) > 100
    assert [name for name in shared if found[name] != half[name]] == []


@pytest.mark.parametrize("two_step", [(), ("*",)], ids=["", "steady"])
def test_what_is_rounded_to_int8_is_float32_and_so_is_what_rounding_left(two_step: tuple[str, ...]) -> None:
    graph = mixed(17, two_step)
    kinds = types(graph)
    rounded = [node for node in graph.nodes if node.op_type == "QuantizeLinear"]
    assert {kinds[node.input[0]] for node in rounded} == {FLOAT}
    left = [node for node in graph.nodes if node.op_type == "Sub" and node.name.endswith("_left")]
    assert bool(left) == bool(two_step)
    assert all({kinds[name] for name in (*node.input, *node.output)} == {FLOAT} for node in left)


def test_decomposed_norms_stay_in_float32() -> None:
    graph = mixed(13)
    kinds = types(graph)
    norms = decomposed_norms(graph)
    assert len(norms) > 30
    assert {kinds[name] for name in norms} == {FLOAT}


def test_kept_layer_computes_in_float32_and_its_weight_is_still_int8() -> None:
    graph = mixed(keep=(FC1,))
    product = next(node for node in graph.nodes if node.name == simplified(17)[0].layers[FC1].name)
    assert types(graph)[product.output[0]] == FLOAT
    assert arrays(graph)[f"{FC1}.weight_q"].dtype == np.int8


def test_pattern_that_fits_no_weight_is_an_error() -> None:
    with pytest.raises(PoseedgeError, match="no weight matches 'temporal_embedd'"):
        mixed(keep=("temporal_embedd",))


def test_half_precision_around_int8_costs_less_than_int8_does() -> None:
    exact = simplified(17)[0]
    assert distance_mm(mixed(), int8()) < distance_mm(int8(), exact)
    assert distance_mm(mixed(), exact) < 1.2 * distance_mm(int8(), exact)


def test_two_steps_lose_no_more_than_half_precision_does() -> None:
    exact = simplified(17)[0]
    assert distance_mm(mixed(17, ("*",)), int8(17, ("*",))) < 1.5 * distance_mm(to_fp16(exact, list(KEEP)), exact)


# In a bundle


@pytest.fixture(scope="module")
def manifest(mixed_bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((mixed_bundle / MANIFEST).read_text())
    return content


def test_bundle_for_strong_typing_holds_it_with_int8_s_limits(manifest: dict[str, Any]) -> None:
    assert list(manifest["graphs"]) == ["int8", "int8-fp16"]
    assert manifest["limits"]["int8-fp16"] == manifest["limits"]["int8"]
    assert manifest["parity"]["int8-fp16"]["against_reference"]["passed"] is True
    assert manifest["graphs"]["int8-fp16"]["opset"] == manifest["graphs"]["int8"]["opset"] == 17
    assert manifest["graphs"]["int8-fp16"]["bytes"] < manifest["graphs"]["int8"]["bytes"]


@pytest.mark.parametrize(("target", "takes"), [("jetson-orin-nano-jp7.2", True), ("jetson-thor", True), ("default", False)])
def test_its_target_takes_it_and_others_refuse_it(mixed_bundle: Path, target: str, takes: bool) -> None:
    findings = check_graph(Graph.load(mixed_bundle / "nanohtnet_int8-fp16.onnx"), load_target(target))
    assert passed(findings) is takes
    assert {finding.rule for finding in findings} == (set() if takes else {"mixed-typing", "weak-typing"})


def test_lifter_on_a_cpu_computes_what_the_graph_says(mixed_bundle: Path) -> None:
    path = mixed_bundle / "nanohtnet_int8-fp16.onnx"
    found, exact = (OnnxLifter(path, optimize=optimize)(windows()) for optimize in (True, False))
    assert OnnxLifter(path).spec.precision == "int8-fp16"
    moved = np.linalg.norm(found - exact, axis=-1).mean()  # ONNX Runtime leaves out some rounding to half precision
    assert moved < np.linalg.norm(found - lifted(simplified(17)[0]), axis=-1).mean()


def test_lifter_keeps_a_product_and_its_bias_apart(mixed_bundle: Path) -> None:
    session = OnnxLifter(mixed_bundle / "nanohtnet_int8-fp16.onnx").session
    assert session.get_modelmeta().custom_metadata_map["poseedge.ort_disabled_optimizers"] == '["MatMulAddFusion"]'
