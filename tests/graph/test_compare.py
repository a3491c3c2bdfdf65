"""Two graphs, layer by layer: the numbers, what corresponds, and which layer is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from poseedge.data.h36m import load_dataset
from poseedge.errors import ArtefactError
from poseedge.graph.compare import TOLERANCE, Comparison, Side, corresponding, passes_needed, portions, scope, tensor_comparison
from poseedge.graph.graph import Graph
from poseedge.int8.windows import calibration_windows
from tests.support import samples

FRAMES = samples.FRAMES
WINDOWS = np.random.default_rng(5).uniform(-1, 1, (3, FRAMES, 17, 2)).astype(np.float32)
Change = Callable[[onnx.ModelProto], object]


def two_layers(path: Path, change: Change = lambda model: None) -> Side:
    """Write a network of two layers with biases and a norm between them, after ``change``."""
    rng = np.random.default_rng(1)
    weights = {
        "first.weight": rng.normal(size=(2, 8)).astype(np.float32),
        "first.bias": rng.normal(size=8).astype(np.float32),
        "norm.weight": np.ones(8, np.float32),
        "norm.bias": np.zeros(8, np.float32),
        "second.weight": rng.normal(size=(8, 3)).astype(np.float32),
        "second.bias": rng.normal(size=3).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "first.weight"], ["/first/MatMul_output_0"]),
        helper.make_node("Add", ["/first/MatMul_output_0", "first.bias"], ["/first/Add_output_0"]),
        helper.make_node("LayerNormalization", ["/first/Add_output_0", "norm.weight", "norm.bias"], ["/norm/Norm_output_0"]),
        helper.make_node("MatMul", ["/norm/Norm_output_0", "second.weight"], ["/second/MatMul_output_0"]),
        helper.make_node("Add", ["/second/MatMul_output_0", "second.bias"], ["y"]),
    ]
    model = samples.model(nodes, ["batch", FRAMES, 17, 2], weights)
    change(model)
    onnx.save(model, path)
    return Side.read(path)


def scaled(name: str, factor: float) -> Change:
    """Return a change that multiplies one constant."""

    def change(model: onnx.ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))

    return change


def compared(folder: Path, change: Change, tolerance: float | None = None) -> Comparison:
    """Return the comparison of the network with itself after ``change``."""
    return tensor_comparison(two_layers(folder / "a.onnx"), two_layers(folder / "b.onnx", change), WINDOWS, tolerance=tolerance)


def test_graph_equals_itself_everywhere(tmp_path: Path) -> None:
    found = compared(tmp_path, lambda model: None)
    assert [(layer.name, layer.relative_error, layer.largest, layer.sqnr_db) for layer in found.layers] == [
        (name, 0, 0, None) for name in ("first", "norm", "y")
    ]
    assert (found.first, found.distance_mm["max"]) == (None, 0)


def test_relative_error_and_sqnr_are_those_of_the_definition(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        scaled("second.weight", 1.01)(model)
        scaled("second.bias", 1.01)(model)

    last = compared(tmp_path, change).layers[-1]
    assert last.relative_error == pytest.approx(0.01, rel=1e-4)
    assert last.sqnr_db == pytest.approx(40, abs=0.01)


@pytest.mark.parametrize(("constant", "layer"), [("first.weight", "first"), ("norm.weight", "norm"), ("second.bias", "y")])
def test_first_layer_with_another_constant_is_named(tmp_path: Path, constant: str, layer: str) -> None:
    first = compared(tmp_path, scaled(constant, 1.1)).first
    assert first is not None
    assert first.name == layer


def test_tolerance_decides_what_parts(tmp_path: Path) -> None:
    assert compared(tmp_path, scaled("second.weight", 1.001), tolerance=0.01).first is None


def test_constants_that_moved_between_norm_and_bias_part_nothing(tmp_path: Path) -> None:
    """As INT8 does: the norm's output moves by an offset, which the next bias compensates."""

    def change(model: onnx.ModelProto) -> None:
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        offset = np.full(8, 5, np.float32)
        back = numpy_helper.to_array(tensors["second.bias"]) - offset @ numpy_helper.to_array(tensors["second.weight"])
        tensors["norm.bias"].CopyFrom(numpy_helper.from_array(offset, "norm.bias"))
        tensors["second.bias"].CopyFrom(numpy_helper.from_array(back.astype(np.float32), "second.bias"))

    assert compared(tmp_path, change).first is None


def test_what_is_not_finite_parts(tmp_path: Path) -> None:
    first = compared(tmp_path, scaled("second.weight", np.inf), tolerance=1e9).first
    assert first is not None
    assert (first.name, first.relative_error, first.largest) == ("y", None, None)


def test_layers_stand_in_the_order_in_which_they_are_finished(small_bundle: Path) -> None:
    graph = Graph.load(small_bundle / "nanohtnet_fp32.onnx")
    names = corresponding(graph, graph, every_tensor=False)
    order = [output for node in graph.nodes for output in node.output]
    assert [order.index(name) for name in names] == sorted(order.index(name) for name in names)
    assert len({scope(name) for name in names}) == len(names) < len(corresponding(graph, graph, every_tensor=True))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_precisions_of_a_bundle_part_nowhere(small_bundle: Path, export_inputs: Path, precision: str) -> None:
    sides = [Side.read(small_bundle / f"nanohtnet_{name}.onnx") for name in ("fp32", precision)]
    frames, channels = sides[0].spec.frames, sides[0].spec.channels
    windows = calibration_windows([load_dataset(export_inputs / "data", "gt")], frames, 2, channels=channels)
    advanced: list[int] = []
    found = tensor_comparison(sides[0], sides[1], windows, every_tensor=True, advance=advanced.append)
    assert found.tolerance == TOLERANCE[precision]
    assert found.first is None
    assert max(layer.relative_error or 0 for layer in found.layers) > 1e-5
    assert len(advanced) == 2 * passes_needed(sides[0], sides[1], every_tensor=True)


def test_passes_hold_as_much_as_memory_allows(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph.load(small_bundle / "nanohtnet_fp32.onnx")
    names = corresponding(graph, graph, every_tensor=True)
    assert portions(graph, names) == [names]
    monkeypatch.setattr("poseedge.graph.compare.AT_ONCE_BYTES", 1)
    assert portions(graph, names) == [[name] for name in names]


def test_networks_without_a_common_tensor_are_told(tmp_path: Path) -> None:
    other = Side.read(samples.lifting_graph(tmp_path / "other.onnx"))
    renamed = two_layers(tmp_path / "a.onnx", lambda model: rename_output(model, "z"))
    with pytest.raises(ArtefactError, match="no tensor in common"):
        tensor_comparison(renamed, other, WINDOWS)


def rename_output(model: onnx.ModelProto, name: str) -> None:
    """Give the network's output another name."""
    model.graph.output[0].name = model.graph.node[-1].output[0] = name
