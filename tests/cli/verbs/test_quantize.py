"""``poseedge quantize`` takes any float32 lifting graph, says what INT8 costs, and refuses what it cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import helper, numpy_helper

from poseedge.backends.registry import load
from tests.support.folders import MINI, excerpt
from tests.support.user import Command, assert_refused

QUICK = ("--data", MINI, "--windows", 8, "--frames", 24)


@pytest.fixture
def foreign(small_bundle: Path, tmp_path: Path) -> Path:
    """The small network as another tool might write it: no metadata, weights as Constant nodes."""
    model = onnx.load(small_bundle / "nanohtnet_fp32.onnx")
    del model.metadata_props[:]
    constants = [
        helper.make_node("Constant", [], [tensor.name], value=numpy_helper.from_array(numpy_helper.to_array(tensor)))
        for tensor in model.graph.initializer
    ]
    nodes = [*constants, *model.graph.node]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "theirs.onnx")
    return tmp_path / "theirs.onnx"


def test_foreign_graph_is_quantized_beside_itself_with_its_ranges(poseedge: Command, foreign: Path) -> None:
    outcome = poseedge("quantize", foreign, *QUICK, "--json")
    assert outcome.status == 0, outcome.err
    content = json.loads(outcome.out)
    made = foreign.with_name("theirs_int8.onnx")
    assert content["output"] == str(made)
    assert "spatial.0.mlp.fc1" in content["layers"]
    assert load(made).spec.precision == "int8"
    assert made.stat().st_size < 0.6 * foreign.stat().st_size
    assert json.loads(made.with_suffix(".ranges.json").read_text())["windows"] == 8


def test_ranges_are_drawn_on_request(poseedge: Command, foreign: Path, tmp_path: Path) -> None:
    assert poseedge("quantize", foreign, *QUICK, "--plot", tmp_path / "ranges.png").status == 0
    assert (tmp_path / "ranges.png").read_bytes().startswith(b"\x89PNG")


def test_mistakes_of_the_data_and_its_frame_rate_are_said_once_where_it_calibrates(
    poseedge: Command, foreign: Path, tmp_path: Path
) -> None:
    folder = excerpt()
    for actions in folder.motion.values():
        for action in actions:
            actions[action] = actions[action] * 1000
    assert folder.rig
    folder.rig["fps"] = 25
    data = folder.write(tmp_path)
    outcome = poseedge("quantize", foreign, "--frames", 24, "--data", data, "--windows", 8)
    assert outcome.status == 0, outcome.err
    assert outcome.err.count("the motion is in millimetres: times 0.001") == 1
    assert outcome.err.count("25 frames per second, and the network is taken to know 50") == 1


@pytest.mark.parametrize("output", [[], ["--output", "nanohtnet_int8.onnx"], ["--output", "mine.onnx"]])
def test_a_bundle_stays_as_it_was_exported(poseedge: Command, own_bundle: Path, output: list[str]) -> None:
    before = {path.name: path.read_bytes() for path in own_bundle.iterdir()}
    words = [own_bundle / word if word.endswith(".onnx") else word for word in output]
    outcome = poseedge("quantize", own_bundle / "nanohtnet_fp32.onnx", *words, *QUICK)
    assert_refused(outcome, "lies in a bundle, which stays as it was exported", "--output")
    assert {path.name: path.read_bytes() for path in own_bundle.iterdir()} == before


def test_quantized_graph_is_refused(poseedge: Command, small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "twice.onnx"
    outcome = poseedge("quantize", small_bundle / "nanohtnet_int8.onnx", *QUICK, "--output", out)
    assert_refused(outcome, "is int8 already", "float32 graph")
    assert not out.exists()


def test_graph_of_an_old_opset_is_refused(poseedge: Command, foreign: Path) -> None:
    model = onnx.load(foreign)
    model.opset_import[0].version = 12
    output = model.graph.output[0].name
    nothing = helper.make_tensor("nothing", onnx.TensorProto.FLOAT, [1, 3, 17, 3], [0.0] * 153)
    del model.graph.node[:]
    model.graph.node.extend(
        [
            helper.make_node("Constant", [], ["zeros"], value=nothing),
            helper.make_node("ReduceMean", ["keypoints"], ["mean"], axes=[0, 1, 2, 3], keepdims=0),
            helper.make_node("Add", ["zeros", "mean"], [output]),
        ]
    )
    onnx.save(model, foreign)
    assert_refused(poseedge("quantize", foreign, *QUICK), "opset 12", "opset 17")


@pytest.mark.parametrize(("option", "value"), [("--calibration", "minmx"), ("--level", "D")])
def test_unknown_choice_is_refused_with_the_known_ones(poseedge: Command, foreign: Path, option: str, value: str) -> None:
    assert_refused(poseedge("quantize", foreign, option, value), f"unknown {option}", "Known:")
