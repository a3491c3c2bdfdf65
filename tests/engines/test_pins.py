"""Nodes to be held in FP32 are found whatever the parser calls their layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.doubles.binding import Fake
from tests.support.engines import build, write_graph


def test_norm_that_tensorrt_leaves_unnamed_is_found_by_its_tensor(device: Fake, tmp_path: Path) -> None:
    if device.release < (8, 6):
        return  # LayerNormalization is not read
    path = norm_kept(tmp_path / "norm.onnx")
    made = build(path, "fp16")
    assert made.said == []
    [plan] = device.built
    unnamed = device.release == (8, 6)
    assert plan.pinned == (() if plan.strongly_typed else ("(Unnamed Layer* 0) [Normalization]",) if unnamed else ("norm",))


def test_last_step_of_many_outputs_is_found_once(device: Fake, tmp_path: Path) -> None:
    """A node that is found by its name is not counted again by its tensor."""
    path = norm_kept(tmp_path / "norm.onnx", "Softmax")
    assert build(path, "fp16").said == []


def norm_kept(path: Path, operator: str = "LayerNormalization") -> Path:
    """Write a half precision graph with a norm of its input that stays in FP32."""
    model = onnx.load(write_graph(path, "fp16"))
    model.opset_import[0].version = 17
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "gain"))
    model.graph.node[0].input[0] = "normed"
    inputs = ["keypoints", "gain"] if operator == "LayerNormalization" else ["keypoints"]
    model.graph.node.insert(0, helper.make_node(operator, inputs, ["normed"], name="norm"))
    if operator != "LayerNormalization":
        model.opset_import[0].version = 13
    onnx.save(model, path)
    return path
