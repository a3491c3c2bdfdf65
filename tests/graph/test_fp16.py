"""FP16 graphs take and give float32, hold half weights, and keep in float32 what half precision cannot hold."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from poseedge.arrays import AnyArray
from poseedge.errors import PoseedgeError
from poseedge.graph.float32 import embedded
from poseedge.graph.fp16 import to_fp16
from poseedge.graph.graph import Graph
from poseedge.graph.nodes import matches
from poseedge.graph.structure import decomposed_norms, pooled_norms, raw_results, scaled_norms
from tests.support.graphs import arrays, make_graph, simplified, traced, windows
from tests.support.networks import exported

KEEP = ("temporal.0.mlp.fc1",)  # any layer: the embeddings stay float32 by structure


@cache
def half(opset: int = 17, keep: tuple[str, ...] = KEEP) -> Graph:
    return to_fp16(simplified(opset)[0], list(keep))


def computed(graph: Graph, names: list[str]) -> dict[str, AnyArray]:
    """Return intermediate tensors of ``model`` on one window."""
    copy = graph.copy()
    del copy.proto.graph.output[:]
    copy.proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return dict(zip(names, copy.evaluator()(windows()[:1]), strict=True))


def test_keypoints_and_joints_stay_float32() -> None:
    graph = half().proto.graph
    assert [v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)] == [TensorProto.FLOAT] * 2


def test_weights_are_stored_in_half_precision() -> None:
    weights = arrays(half())
    kept = {name.removesuffix(".weight") for name, value in weights.items() if value.dtype == np.float32 and value.ndim > 1}
    embeddings = {"dct", "temporal_embed", "temporal_embed.bias", "spatial_embed", "spatial_embed.bias"}
    assert {name for name in kept if not matches(name, KEEP)} == embeddings


def test_weights_are_those_of_the_float_graph_rounded() -> None:
    exact = arrays(simplified(17)[0])
    for name, value in arrays(half()).items():
        if value.dtype == np.float16 and name in exact:
            np.testing.assert_array_equal(value, exact[name].astype(np.float16))


def test_kept_nodes_compute_in_float32() -> None:
    layer = next(node for node in half().nodes if node.input[1:2] == [f"{KEEP[0]}.weight"])
    assert computed(half(), [layer.output[0]])[layer.output[0]].dtype == np.float32


def test_other_layers_compute_in_half_precision() -> None:
    layer = next(node for node in half().nodes if node.input[1:2] == ["spatial.0.mlp.fc1.weight"])
    assert computed(half(), [layer.output[0]])[layer.output[0]].dtype == np.float16


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 17, 20])
def test_result_is_close_to_the_float_graph(opset: int) -> None:
    for window in windows():
        np.testing.assert_allclose(half(opset).run(window[None]), simplified(opset)[0].run(window[None]), atol=0.02)


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_graph_passes_the_checker(opset: int) -> None:
    onnx.checker.check_model(half(opset).proto, full_check=True)


def test_float_graph_is_left_as_it_was() -> None:
    before = traced(17).proto.SerializeToString(deterministic=True)
    to_fp16(traced(17), [])
    assert traced(17).proto.SerializeToString(deterministic=True) == before


def test_subnormal_weights_are_not_pushed_up() -> None:
    tiny = np.full((17, 3), 1e-6, np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "eye"], ["a"], name="layer"),
        helper.make_node("Add", ["a", "w"], ["y"], name="add"),
    ]
    graph = make_graph(nodes, [1, 17, 3], {"eye": np.eye(3, dtype=np.float32), "w": tiny})
    np.testing.assert_array_equal(arrays(to_fp16(graph, []))["w"], tiny.astype(np.float16))


def decomposed_norm() -> Graph:
    """Return ``y = norm(x) * w``, as the exporter writes it below opset 17."""
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("ReduceMean", ["x"], "mean", {"axes": [-1]}),
        ("Sub", ["x", "mean"], "difference", {}),
        ("Pow", ["difference", "two"], "square", {}),
        ("ReduceMean", ["square"], "variance", {"axes": [-1]}),
        ("Add", ["variance", "eps"], "shifted", {}),
        ("Sqrt", ["shifted"], "deviation", {}),
        ("Div", ["difference", "deviation"], "white", {}),
        ("Mul", ["white", "w"], "y", {}),
    ]
    nodes = [helper.make_node(kind, inputs, [output], name=output, **settings) for kind, inputs, output, settings in steps]
    weights = {"two": np.array(2, np.float32), "eps": np.array(1e-5, np.float32), "w": np.ones(16, np.float32)}
    return make_graph(nodes, [1, 16], weights, opset=13)


def test_decomposed_norm_is_recognised_from_mean_to_division() -> None:
    norm = {"mean", "difference", "square", "variance", "shifted", "deviation", "white"}
    assert decomposed_norms(decomposed_norm()) == norm


def test_other_divisions_are_no_norm() -> None:
    nodes = [helper.make_node("Sqrt", ["x"], ["r"], name="r"), helper.make_node("Div", ["x", "two"], ["y"], name="y")]
    assert decomposed_norms(make_graph(nodes, [1, 16], {"two": np.array(2, np.float32)})) == set()


def test_decomposed_norm_survives_squares_beyond_half_precision() -> None:
    x = np.random.default_rng(0).normal(0, 2000, (1, 16)).astype(np.float32)
    found = to_fp16(decomposed_norm(), []).run(x)
    np.testing.assert_allclose(found, decomposed_norm().run(x), atol=5e-3)


def test_every_norm_of_an_opset_13_graph_stays_float32() -> None:
    graph = half(13)
    deviations = [node.output[0] for node in graph.nodes if node.op_type == "Sqrt"]
    squares = [node.output[0] for node in graph.nodes if node.op_type == "Pow"]
    found = computed(graph, deviations + squares)
    assert len(deviations) == len(squares) > 10
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}


def test_pattern_that_fits_no_weight_is_an_error() -> None:
    with pytest.raises(PoseedgeError, match="no weight matches 'temporal_embedd'"):
        half(keep=("temporal_embedd",))


@pytest.mark.parametrize("opset", [13, 17])
def test_what_leads_to_the_first_norm_stays_float32(opset: int) -> None:
    by_weight = {name: node for node in simplified(opset)[0].nodes if node.op_type == "MatMul" for name in node.input}
    first = embedded(simplified(opset)[0])
    embeddings = [by_weight[name] for name in ("dct", "temporal_embed.weight", "spatial_embed.weight")]
    assert {node.output[0] for node in embeddings} < first
    assert by_weight["temporal.0.mlp.fc1.weight"].output[0] not in first
    names = {node.name for node in embeddings}
    outputs = [node.output[0] for node in half(opset).nodes if node.name in names]
    assert {value.dtype for value in computed(half(opset), outputs).values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("opset", [13, 17])
def test_norm_with_a_scale_of_its_own_stays_float32(opset: int) -> None:
    exact = simplified(opset)[0]
    scaled = {node.name for node in exact.nodes if scaled_norms(exact).intersection(node.output)}
    assert scaled
    results = [node.output[0] for node in half(opset).nodes if node.name in scaled]
    assert {value.dtype for value in computed(half(opset), results).values()} == {np.dtype(np.float32)}


def test_norm_whose_scale_was_folded_away_is_not_scaled() -> None:
    weights = {"ones": np.ones(16, np.float32), "bias": np.full(16, 0.1, np.float32)}
    graph = make_graph([helper.make_node("LayerNormalization", ["x", "ones", "bias"], ["y"], name="norm")], [1, 16], weights)
    assert scaled_norms(graph) == set()


def test_decomposed_norm_is_scaled_by_what_it_is_multiplied_with() -> None:
    assert scaled_norms(decomposed_norm()) == {"y"}


@pytest.mark.parametrize("scaled", [True, False], ids=["a mean", "a layer"])
def test_weighted_mean_of_a_norm_is_told_from_a_layer_over_tokens_by_the_scale_behind_it(scaled: bool) -> None:
    weights = {"ones": np.ones(16, np.float32), "rows": np.ones((2, 1), np.float32), "gain": np.full(16, 2, np.float32)}
    nodes = [
        helper.make_node("LayerNormalization", ["x", "ones"], ["n"], name="norm"),
        helper.make_node("MatMul", ["rows", "n"], ["means"], name="means"),
        helper.make_node("Mul" if scaled else "Add", ["means", "gain"], ["scaled"], name="scaled"),
        helper.make_node("Add", ["scaled", "gain"], ["y"], name="y"),
    ]
    assert pooled_norms(make_graph(nodes, [1, 16], weights)) == ({"means", "scaled", "y"} if scaled else set())


@pytest.mark.parametrize("opset", [13, 17])
def test_weighted_mean_that_a_pose_is_computed_of_stays_float32(opset: int) -> None:
    exact = exported("small poseformerv2", opset)
    pooled = pooled_norms(exact)
    assert {name for node in exact.nodes if pooled.intersection(node.output) for name in node.input if name in exact.stored} == {
        *("pool.weights", "pool.scale", "pool.shift")
    }
    made = to_fp16(exact, [])
    assert {made.stored[name].data_type for name in ("pool.weights", "pool.scale", "pool.shift")} == {TensorProto.FLOAT}
    assert made.stored["blocks.0.mlp1.fc1.weight"].data_type == TensorProto.FLOAT16


def test_coordinates_are_raw_up_to_the_first_layer_and_the_first_norm() -> None:
    steps = [
        ("LayerNormalization", ["x", "scale"], "n"),
        ("MatMul", ["n", "w"], "a"),
        ("Add", ["x", "a"], "skip"),
        ("MatMul", ["skip", "w"], "b"),
        ("Add", ["b", "a"], "y"),
    ]
    nodes = [helper.make_node(kind, inputs, [output], name=output) for kind, inputs, output in steps]
    graph = make_graph(nodes, [1, 16], {"scale": np.ones(16, np.float32), "w": np.eye(16, dtype=np.float32)})
    assert raw_results(graph) == {"n", "skip", "b"}


def test_graph_without_a_norm_has_no_embedding() -> None:
    graph = make_graph([helper.make_node("Mul", ["x", "two"], ["y"], name="y")], [1, 16], {"two": np.array(2, np.float32)})
    assert embedded(graph) == set()


def test_constant_that_float32_and_half_precision_share_serves_both() -> None:
    norm = "LayerNormalization"
    steps = [(norm, ["x", "scale"], "a"), ("MatMul", ["a", "w"], "b"), (norm, ["b", "scale"], "y")]
    nodes = [helper.make_node(kind, inputs, [output], name=output) for kind, inputs, output in steps]
    graph = make_graph(nodes, [1, 16], {"scale": np.full(16, 1.1, np.float32), "w": np.eye(16, dtype=np.float32)})
    x = np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32)
    np.testing.assert_allclose(to_fp16(graph, []).run(x), graph.run(x), atol=5e-3)


@pytest.mark.parametrize("kept", [False, True])
def test_a_cast_of_the_graphs_own_gives_what_its_readers_take(kept: bool) -> None:
    """A truth that was compared, as a float in a product: of the graph's own casts the converter changes none."""
    reader = "LayerNormalization" if kept else "MatMul"  # which stays in float32, or does not
    steps = [
        ("LayerNormalization", ["x", "scale"], "n"),
        ("Greater", ["n", "zero"], "positive"),
        ("Cast", ["positive"], "truth"),
        ("MatMul", ["truth", "w"], "product"),
        (reader, ["truth", "scale" if kept else "w"], "other"),
        ("Add", ["product", "other"], "y"),
    ]
    nodes = [helper.make_node(kind, inputs, [output], name=output) for kind, inputs, output in steps]
    nodes[2].attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
    weights = {"scale": np.full(16, 1.1, np.float32), "w": np.eye(16, dtype=np.float32), "zero": np.array(0, np.float32)}
    graph = make_graph(nodes, [1, 16], weights)
    half = to_fp16(graph, [])
    onnx.checker.check_model(half.proto, full_check=True)
    assert half.types["product"] == TensorProto.FLOAT16
    x = np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32)
    np.testing.assert_allclose(half.run(x), graph.run(x), atol=5e-3)
