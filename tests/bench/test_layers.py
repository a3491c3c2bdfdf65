"""A node of the runtime's own graph is told with the ONNX nodes that it stands for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from poseedge.backends.registry import load
from poseedge.bench.layers import SETTLE, costs, layer_costs, origins
from poseedge.graph.graph import Graph
from tests.support import samples


def source() -> Graph:
    """Return ``z = relu(x @ w + b) + x``, four nodes."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], name="product"),
        helper.make_node("Add", ["product", "b"], ["sum"], name="bias"),
        helper.make_node("Relu", ["sum"], ["positive"], name="relu"),
        helper.make_node("Add", ["positive", "x"], ["z"], name="residual"),
    ]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [3, 3]) for name in ("x", "z")]
    weights = [numpy_helper.from_array(np.ones((3, 3), np.float32), name) for name in ("w", "b")]
    return Graph(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:], weights)))


def test_fused_node_stands_for_what_lies_between_its_tensors() -> None:
    made = [
        helper.make_node("Gemm", ["x", "w", "b"], ["positive"], name="fused", activation="Relu"),
        helper.make_node("Add", ["positive", "x"], ["z"], name="residual"),
    ]
    assert origins(made, source()) == {"fused": ["product", "bias", "relu"], "residual": ["residual"]}


def test_node_that_the_runtime_puts_in_stands_for_nothing() -> None:
    made = [helper.make_node("ReorderInput", ["x"], ["x_reordered"], name="reorder")]
    assert origins(made, source()) == {"reorder": []}


def test_first_runs_do_not_count() -> None:
    made = [helper.make_node("Add", ["positive", "x"], ["z"], name="residual")]
    event = {"cat": "Node", "name": "residual_kernel_time", "args": {"op_name": "Add"}}
    events = [{**event, "dur": 9000}] * SETTLE + [{**event, "dur": 20}] * 3 + [{"cat": "Session", "name": "model_run", "dur": 1}]
    [layer] = costs(events, made, source())
    assert (layer.name, layer.kind, layer.mean_ms, layer.share, layer.nodes) == ("residual", "Add", 0.02, 1.0, ["residual"])


def test_onnx_runtime_is_profiled(tmp_path: Path) -> None:
    layers = layer_costs(load(samples.lifting_graph(tmp_path / "g.onnx")))
    assert layers is not None
    assert sum(layer.share for layer in layers) == pytest.approx(1)
    assert all(layer.mean_ms > 0 for layer in layers)
    assert ["MatMul of y"] in [layer.nodes for layer in layers]
    assert list(tmp_path.iterdir()) == [tmp_path / "g.onnx"]  # nothing is left behind


def test_runtimes_without_a_profile_have_none(tmp_path: Path) -> None:
    assert layer_costs(load(samples.checkpoint(tmp_path / "small.pth"))) is None
