"""What suits a CPU is another way to write the same network."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.export.pipeline import export_bundle
from poseedge.graph.cpu_form import join_biases, scale_before_reshape, to_cpu_form, use_attention_operator
from poseedge.graph.flops import graph_cost
from poseedge.graph.graph import Graph
from poseedge.targets.boards import load_target
from tests.support import small_export
from tests.support.graphs import arrays, make_graph, simplified, windows
from tests.support.networks import exported

pytestmark = pytest.mark.slow

NEW_RUNTIME = pytest.mark.skipif(
    tuple(map(int, ort.__version__.split(".")[:2])) < (1, 24), reason="ONNX Runtime 1.23 has no QuantizeLinear of opset 23"
)


def rewritten(opset: int) -> Graph:
    """Return the small network's graph for a CPU."""
    graph = simplified(20)[0].copy()
    to_cpu_form(graph, opset)
    return graph


def operators(graph: Graph) -> Counter[str]:
    return Counter(node.op_type for node in graph.nodes)


@pytest.mark.parametrize("opset", [20, 23])
def test_poses_stay_the_same(opset: int) -> None:
    graph = rewritten(opset)
    onnx.checker.check_model(graph.proto, full_check=True)
    assert graph.opset == opset
    for window in windows():
        np.testing.assert_allclose(graph.run(window[None]), simplified(20)[0].run(window[None]), atol=2e-6)


def test_every_graph_convolution_needs_one_reshape_less() -> None:
    before, after = operators(simplified(20)[0]), operators(rewritten(20))
    convolutions = sum(name.endswith("gcn1.dense") or name.endswith("gcn2.dense") for name in arrays_of_layers())
    assert before - after == {"Reshape": convolutions}
    assert after - before == {}


def arrays_of_layers() -> list[str]:
    """Return the names of the layers that hold a weight."""
    return [name.removesuffix(".weight") for name in arrays(simplified(20)[0]) if name.endswith(".weight")]


def test_every_attention_is_one_operator_from_opset_23_on() -> None:
    before, after = operators(simplified(20)[0]), operators(rewritten(23))
    assert after["Attention"] == before["Softmax"] > 0
    assert after["Softmax"] == 0
    assert "Attention" not in operators(rewritten(20))


def scaled(shape: list[int], factor: tuple[int, ...], follower: str = "Reshape") -> Graph:
    """Return ``(4, 6)`` split to ``shape``, scaled by a constant, and joined again."""
    values = np.random.default_rng(0).normal(size=factor).astype(np.float32)
    weights = {"split": np.array(shape), "factor": values, "join": np.array([8, 3])}
    last = ["z", "join"] if follower == "Reshape" else ["z"]
    nodes = [
        helper.make_node("Reshape", ["x", "split"], ["parts"]),
        helper.make_node("Mul", ["parts", "factor"], ["z"], name="scale"),
        helper.make_node(follower, last, ["y"]),
    ]
    return make_graph(nodes, [4, 6], weights)


def test_scaling_moves_before_the_reshape() -> None:
    graph, x = scaled([4, 2, 3], (4, 1, 3)), np.arange(24, dtype=np.float32).reshape(4, 6)
    expected = graph.run(x)
    scale_before_reshape(graph)
    assert [node.op_type for node in graph.nodes] == ["Mul", "Reshape"]
    np.testing.assert_array_equal(graph.run(x), expected)


@pytest.mark.parametrize(
    ("shape", "factor", "follower"),
    [([4, 2, 3], (4, 2, 3), "Reshape"), ([4, 2, 3], (1, 1, 1), "Reshape"), ([4, 2, 3], (4, 1, 3), "Relu")],
    ids=["factor by part", "one factor", "no reshape after"],
)
def test_other_scalings_stay(shape: list[int], factor: tuple[int, ...], follower: str) -> None:
    graph = scaled(shape, factor, follower)
    before = graph.proto.SerializeToString()
    scale_before_reshape(graph)
    assert graph.proto.SerializeToString() == before


def test_attention_between_other_shapes_stays() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "t"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"]),
        helper.make_node("MatMul", ["weights", "x"], ["y"]),
    ]
    graph = make_graph(nodes, [2, 4, 6], {})
    use_attention_operator(graph)
    assert operators(graph) == Counter(node.op_type for node in nodes)


def products(*nodes: onnx.NodeProto) -> Graph:
    """Return a graph of ``x (4, 4)``, a matrix, a row and a whole constant."""
    random = np.random.default_rng(0)
    weights = {"w": random.normal(size=(4, 4)), "row": random.normal(size=4), "whole": random.normal(size=(4, 4))}
    return make_graph(list(nodes), [4, 4], {name: value.astype(np.float32) for name, value in weights.items()})


def product_and(first: str, second: str, *added: str) -> Graph:
    return products(helper.make_node("MatMul", [first, second], ["p"]), helper.make_node("Add", list(added), ["y"]))


@pytest.mark.parametrize(
    "graph",
    [product_and("x", "w", "p", "row"), product_and("w", "x", "whole", "p"), product_and("w", "x", "p", "x")],
    ids=["layer", "constant on the left", "constant on the left and a tensor"],
)
def test_gemm_adds_what_is_added_to_a_product(graph: Graph) -> None:
    x = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
    wanted = graph.run(x)
    join_biases(graph)
    assert operators(graph) == {"Gemm": 1}
    np.testing.assert_allclose(graph.run(x), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "graph",
    [
        product_and("x", "w", "p", "x"),  # a layer's bias is a constant to those that quantize it
        product_and("x", "x", "p", "row"),
        products(
            helper.make_node("MatMul", ["x", "w"], ["p"]),
            helper.make_node("Add", ["p", "row"], ["q"]),
            helper.make_node("Mul", ["p", "q"], ["y"]),
        ),
    ],
    ids=["layer and a tensor", "two tensors", "product that is read twice"],
)
def test_other_sums_stay(graph: Graph) -> None:
    before = graph.proto.SerializeToString()
    join_biases(graph)
    assert graph.proto.SerializeToString() == before


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceL2", "ReduceMax"])
@pytest.mark.parametrize("axes", [[1], [0, 1], None])
def test_raised_opset_gives_reductions_their_axes_as_an_input(kind: str, axes: list[int] | None) -> None:
    given: dict[str, Any] = {} if axes is None else {"axes": axes}
    graph = make_graph([helper.make_node(kind, ["x"], ["y"], keepdims=0, **given)], [4, 4], {})
    x = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
    wanted = graph.run(x)
    to_cpu_form(graph, 23)
    assert graph.opset == 23
    onnx.checker.check_model(graph.proto, full_check=True)
    np.testing.assert_array_equal(graph.run(x), wanted)


def test_network_with_decomposed_norms_has_attention_as_one_operator_too() -> None:
    graph = exported("strided_transformer", 17).copy()
    window = np.random.default_rng(1).uniform(-1, 1, (1, *graph.shapes[graph.inputs[0]][1:])).astype(np.float32)
    wanted = graph.run(window)
    to_cpu_form(graph, 23)
    assert operators(graph)["Attention"] > 0
    onnx.checker.check_model(graph.proto, full_check=True)
    np.testing.assert_allclose(graph.run(window), wanted, atol=2e-6)


TARGETS = ["cpu", pytest.param("cpu-opset23", marks=NEW_RUNTIME)]


@pytest.mark.parametrize("name", TARGETS)
def test_bundle_for_a_cpu_is_the_same_lifter(name: str, export_inputs: Path, small_bundle: Path, tmp_path: Path) -> None:
    target = load_target(name)
    export_bundle(small_export.job(export_inputs, tmp_path / "b", target=target, target_name=name, precisions=("fp32", "int8")))
    exact, rounded = (tmp_path / "b" / f"nanohtnet_{precision}.onnx" for precision in ("fp32", "int8"))
    assert Graph.load(exact).opset == Graph.load(rounded).opset == target.opset
    wanted = OnnxLifter(small_bundle / exact.name)(windows())
    np.testing.assert_allclose(OnnxLifter(exact)(windows()), wanted, atol=2e-6)
    own, static = (np.abs(OnnxLifter(path)(windows()) - wanted).mean() for path in (rounded, small_bundle / rounded.name))
    assert 0 < own < static  # its steps fit the window at hand


def test_int8_for_a_cpu_is_timed_as_it_is_written(export_inputs: Path, tmp_path: Path) -> None:
    cpu = load_target("cpu")
    export_bundle(small_export.job(export_inputs, tmp_path / "b", target=cpu, target_name="cpu", precisions=("fp32", "int8")))
    file = tmp_path / "b" / "nanohtnet_int8.onnx"
    graph = Graph.load(file)
    assert {"QuantizeLinear", "DequantizeLinear"}.isdisjoint(operators(graph))
    assert operators(graph)["DynamicQuantizeMatMul"] > 0
    assert graph.metadata is not None
    assert graph.metadata.ort_disabled_optimizers == ()  # run.py, which rewrites nothing, opens it as it is, too
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for window in windows():
        found = session.run(None, {"keypoints": window[None]})[0]
        np.testing.assert_array_equal(found, OnnxLifter(file)(window[None]))
    exact, rounded = (graph_cost(tmp_path / "b" / f"nanohtnet_{precision}.onnx") for precision in ("fp32", "int8"))
    assert rounded.flops == exact.flops
    assert rounded.params is not None
    assert exact.params is not None
    assert exact.params <= rounded.params < 1.05 * exact.params  # biases that compensate


def test_int8_of_a_free_batch_lifts_a_window_alike_in_any_company(export_inputs: Path, tmp_path: Path) -> None:
    cpu = load_target("cpu")
    changes = {"target": cpu, "target_name": "cpu", "precisions": ("int8",), "free_batch": True}
    export_bundle(small_export.job(export_inputs, tmp_path / "b", **changes))
    lifter = OnnxLifter(tmp_path / "b" / "nanohtnet_int8.onnx")
    together = lifter(windows())
    for window, poses in zip(windows(), together, strict=True):
        np.testing.assert_allclose(lifter(window[None])[0], poses, atol=1e-5)
