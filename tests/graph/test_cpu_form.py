"""What suits a CPU is another way to write the same network."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.export.pipeline import export_bundle
from poseedge.graph.cpu_form import scale_before_reshape, to_cpu_form, use_attention_operator
from poseedge.graph.graph import Graph
from poseedge.targets.boards import load_target
from tests.support import small_export
from tests.support.graphs import arrays, graph, simplified, windows

pytestmark = pytest.mark.slow

NEW_RUNTIME = pytest.mark.skipif(
    tuple(map(int, ort.__version__.split(".")[:2])) < (1, 24), reason="ONNX Runtime 1.23 has no QuantizeLinear of opset 23"
)


def rewritten(opset: int) -> Graph:
    """Return the small network's graph for a CPU."""
    model = simplified(20)[0].copy()
    to_cpu_form(model, opset)
    return model


def operators(model: Graph) -> Counter[str]:
    return Counter(node.op_type for node in model.nodes)


@pytest.mark.parametrize("opset", [20, 23])
def test_poses_stay_the_same(opset: int) -> None:
    model = rewritten(opset)
    onnx.checker.check_model(model.proto, full_check=True)
    assert model.opset == opset
    for window in windows():
        np.testing.assert_allclose(model.run(window[None]), simplified(20)[0].run(window[None]), atol=2e-6)


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
    return graph(nodes, [4, 6], weights)


def test_scaling_moves_before_the_reshape() -> None:
    model, x = scaled([4, 2, 3], (4, 1, 3)), np.arange(24, dtype=np.float32).reshape(4, 6)
    expected = model.run(x)
    scale_before_reshape(model)
    assert [node.op_type for node in model.nodes] == ["Mul", "Reshape"]
    np.testing.assert_array_equal(model.run(x), expected)


@pytest.mark.parametrize(
    ("shape", "factor", "follower"),
    [([4, 2, 3], (4, 2, 3), "Reshape"), ([4, 2, 3], (1, 1, 1), "Reshape"), ([4, 2, 3], (4, 1, 3), "Relu")],
    ids=["factor by part", "one factor", "no reshape after"],
)
def test_other_scalings_stay(shape: list[int], factor: tuple[int, ...], follower: str) -> None:
    model = scaled(shape, factor, follower)
    before = model.proto.SerializeToString()
    scale_before_reshape(model)
    assert model.proto.SerializeToString() == before


def test_attention_between_other_shapes_stays() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "t"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"]),
        helper.make_node("MatMul", ["weights", "x"], ["y"]),
    ]
    model = graph(nodes, [2, 4, 6], {})
    use_attention_operator(model)
    assert operators(model) == Counter(node.op_type for node in nodes)


@pytest.mark.parametrize("name", ["cpu", pytest.param("cpu-opset23", marks=NEW_RUNTIME)])
def test_bundle_for_a_cpu_is_the_same_lifter(name: str, export_inputs: Path, small_bundle: Path, tmp_path: Path) -> None:
    target = load_target(name)
    export_bundle(small_export.job(export_inputs, tmp_path / "b", target=target, target_name=name, precisions=("fp32", "int8")))
    for precision, tolerance in (("fp32", 2e-6), ("int8", 2e-3)):  # an INT8 value may round to the next step
        file = f"nanohtnet_{precision}.onnx"
        assert Graph.load(tmp_path / "b" / file).opset == target.opset
        found = OnnxLifter(tmp_path / "b" / file)(windows())
        np.testing.assert_allclose(found, OnnxLifter(small_bundle / file)(windows()), atol=tolerance)
