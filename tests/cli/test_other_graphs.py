"""What people bring to the commands that look inside a graph: taken, or refused by each in the same words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support import motion
from tests.support.user import Command, assert_refused

VERBS = ("quantize", "sensitivity", "compare")


@pytest.fixture
def exact(small_bundle: Path, tmp_path: Path) -> Path:
    """Return the small network in float32, without our metadata."""
    model = onnx.load(small_bundle / "nanohtnet_fp32.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "exact.onnx")
    return tmp_path / "exact.onnx"


def with_batches(path: Path, taken: int | str, given: int | str) -> Path:
    """Let the graph state other batches at its two ends."""
    model = onnx.load(path)
    for value, batch in ((model.graph.input[0], taken), (model.graph.output[0], given)):
        dims = [batch, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])]
        value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, dims))
    onnx.save(model, path)
    return path


def with_half_ends(path: Path) -> Path:
    """Let the graph take and give half precision, which is cast inside."""
    model = onnx.load(path)
    (source,), (target,) = model.graph.input, model.graph.output
    for node in model.graph.node:
        node.input[:] = ["taken" if name == source.name else name for name in node.input]
        node.output[:] = ["given" if name == target.name else name for name in node.output]
    model.graph.node.insert(0, helper.make_node("Cast", [source.name], ["taken"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("Cast", ["given"], [target.name], to=TensorProto.FLOAT16))
    for value in (source, target):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, path)
    return path


def called(verb: str, path: Path) -> list[str]:
    return [verb, str(path), *([str(path)] if verb == "compare" else [])]


@pytest.mark.parametrize("verb", VERBS)
def test_fixed_batch_of_eight_is_refused(poseedge: Command, exact: Path, verb: str) -> None:
    outcome = poseedge(*called(verb, with_batches(exact, 8, 8)))
    assert_refused(outcome, "exact.onnx: takes 8 windows at a time, expected one or a free batch", "export it for one window")


@pytest.mark.parametrize("verb", VERBS)
def test_half_ends_are_refused(poseedge: Command, exact: Path, verb: str) -> None:
    outcome = poseedge(*called(verb, with_half_ends(exact)))
    assert "exact.onnx: no lifting graph: expected float (B, T, 17, 2)" in outcome.err
    assert_refused(outcome, "found tensor(float16) [1, 27, 17, 2]", "half precision belongs inside, between float32 ends")


@pytest.mark.parametrize("verb", VERBS[:2])
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_what_is_no_float32_graph_is_not_quantized(poseedge: Command, small_bundle: Path, verb: str, precision: str) -> None:
    outcome = poseedge(verb, str(small_bundle / f"nanohtnet_{precision}.onnx"))
    assert_refused(outcome, f"is {precision} already, expected a graph in float32", "the float32 graph that it was made from")


@pytest.mark.parametrize("verb", VERBS[:2])
def test_opset_without_scales_by_channel_is_not_quantized(poseedge: Command, exact: Path, verb: str) -> None:
    model = onnx.load(exact)
    model.opset_import[0].version = 12
    onnx.save(model, exact)
    assert_refused(poseedge(verb, str(exact)), "exact.onnx: opset 12, INT8 by channel needs 13", "export it again, at opset 17")


@pytest.mark.parametrize(("taken", "given"), [("batch", 1), (1, "batch"), ("batch", "other")])
def test_batch_is_what_the_input_says(poseedge: Command, exact: Path, taken: int | str, given: int | str) -> None:
    settings = ["--windows", 2, "--frames", 12, "--json"]
    expected = poseedge("quantize", with_batches(exact, taken, taken), *settings).json
    graph = with_batches(exact, taken, given)
    assert poseedge("compare", graph, graph, "--windows", 2).status == 0
    done = poseedge("quantize", graph, *settings)
    assert done.status == 0, done.err
    assert done.json == expected


def of_ir_version_99(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def with_unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "Frobnicate"


def with_infinite_weights(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.ndim == 2:
            tensor.CopyFrom(numpy_helper.from_array(np.full_like(value, np.inf), tensor.name))


QUICKLY = {
    **{"quantize": "--windows 4 --frames 12", "sensitivity": "--windows 4 --frames 12", "compare": "--windows 1"},
    **{"eval": "--every 400", "bench": "--rounds 1 --frames 30 --backend onnxruntime"},
    **{"lift": "--artefact GRAPH --size 1000x1002 --fps 50 -o made.npz"},
}


@pytest.mark.parametrize("damage", [of_ir_version_99, with_unknown_operator, with_infinite_weights])
@pytest.mark.parametrize("verb", QUICKLY)
def test_every_verb_names_the_file_that_it_refuses(
    poseedge: Command, exact: Path, tmp_path: Path, verb: str, damage: Callable[[onnx.ModelProto], None]
) -> None:
    if (verb, damage) == ("compare", with_infinite_weights):
        return  # two graphs may well be compared in what they make of infinity
    keypoints = tmp_path / "keypoints.npy"
    np.save(keypoints, np.concatenate([motion.coco(), motion.scores()[..., None]], axis=-1))
    model = onnx.load(exact)
    damage(model)
    onnx.save(model, exact)
    words = [str(exact) if word == "GRAPH" else word for word in QUICKLY[verb].split()]
    outcome = poseedge(*([verb, str(keypoints)] if verb == "lift" else called(verb, exact)), *words)
    assert_refused(outcome, f"error: {exact}: ")
