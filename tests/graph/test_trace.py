"""Tracing gives one self-contained graph at exactly the opset asked for, and the simplifier is believed only when proved."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from poseedge.arrays import Float32Array
from poseedge.errors import PoseedgeError
from poseedge.fold import fold
from poseedge.graph import trace as module
from poseedge.graph.graph import Graph
from poseedge.graph.trace import fold_constants, simplify, trace
from tests.support import golden, graphs
from tests.support.graphs import simplified, traced

OPSETS = (13, 17, 20)
SCALE_FIRST_WEIGHT = """
import sys, onnx
from onnx import numpy_helper
model = onnx.load(sys.argv[1])
weight = next(t for t in model.graph.initializer if len(t.dims) == 2)
weight.CopyFrom(numpy_helper.from_array(1.01 * numpy_helper.to_array(weight), weight.name))
onnx.save(model, sys.argv[2])
"""
WRITE_GARBAGE = "import sys, pathlib; pathlib.Path(sys.argv[2]).write_bytes(b'no graph')"
DROP_NODE = "import sys, onnx; m = onnx.load(sys.argv[1]); del m.graph.node[3]; onnx.save(m, sys.argv[2])"


@cache
def windows_and_poses() -> tuple[Float32Array, Float32Array]:
    """Return three windows and what the plain network makes of them."""
    windows = graphs.windows()
    with torch.inference_mode():
        return windows, golden.network("nanohtnet-small")(torch.from_numpy(windows)).numpy()


def assert_lifts_like_torch(graph: Graph) -> None:
    windows, poses = windows_and_poses()
    found = np.concatenate([graph.run(window[None]) for window in windows])
    np.testing.assert_allclose(found, poses, atol=1e-4)


@pytest.mark.parametrize("opset", OPSETS)
def test_graph_has_exactly_the_opset_and_no_other_domain(opset: int) -> None:
    assert [(entry.domain, entry.version) for entry in traced(opset).proto.opset_import] == [("", opset)]


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
def test_simplifying_keeps_the_opset(opset: int) -> None:
    assert [(entry.domain, entry.version) for entry in simplified(opset)[0].proto.opset_import] == [("", opset)]


@pytest.mark.parametrize("opset", OPSETS)
def test_traced_graph_equals_torch(opset: int) -> None:
    assert_lifts_like_torch(traced(opset))


@pytest.mark.parametrize("opset", OPSETS)
def test_simplified_graph_equals_torch(opset: int) -> None:
    graph, note = simplified(opset)
    assert note == ""
    assert_lifts_like_torch(graph)


@pytest.mark.parametrize("opset", OPSETS)
def test_graph_passes_the_checker(opset: int) -> None:
    onnx.checker.check_model(simplified(opset)[0].proto, full_check=True)


@pytest.mark.parametrize(("opset", "decomposed"), [(13, True), (17, False), (20, False)])
def test_layer_normalisation_is_one_operator_from_opset_17(opset: int, decomposed: bool) -> None:
    operators = {node.op_type for node in traced(opset).nodes}
    assert ("LayerNormalization" not in operators) is decomposed


def test_gelu_is_one_operator_at_opset_20() -> None:
    assert "Gelu" in {node.op_type for node in traced(20).nodes}


def test_weights_are_inside_the_graph() -> None:
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in traced(17).proto.graph.initializer)
    assert sum(numpy_helper.to_array(tensor).nbytes for tensor in traced(17).proto.graph.initializer) > 400_000


def test_layers_keep_the_names_of_their_weights() -> None:
    assert "spatial.0.mlp.fc1.weight" in {tensor.name for tensor in simplified(17)[0].proto.graph.initializer}


def test_linear_layers_stay_products_with_an_addition() -> None:
    operators = [node.op_type for node in simplified(17)[0].nodes]
    assert "Gemm" not in operators
    assert operators.count("MatMul") > 10


def test_fixed_batch_takes_one_window() -> None:
    assert [dim.dim_value for dim in traced(17).proto.graph.input[0].type.tensor_type.shape.dim] == [1, graphs.FRAMES, 17, 2]


@pytest.mark.slow
def test_free_batch_lifts_any_number_of_windows() -> None:
    windows, poses = windows_and_poses()
    graph, _ = simplify(traced(17, free_batch=True))
    for count in (1, 3):
        np.testing.assert_allclose(graph.run(windows[:count]), poses[:count], atol=1e-4)


def test_opset_that_the_exporter_did_not_write_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def keeps_18(*arguments: object, **settings: object) -> None:
        onnx.save(with_opset(traced(17), 18).proto, str(arguments[2]))

    monkeypatch.setattr(torch.onnx, "export", keeps_18)
    with pytest.raises(PoseedgeError, match=r"wrote opsets \{'': 18\} instead of standard opset 17"):
        trace(fold(golden.network("nanohtnet-small")), graphs.FRAMES, 2, 17, free_batch=False)


def with_opset(graph: Graph, opset: int) -> Graph:
    copy = graph.copy()
    copy.proto.opset_import[0].version = opset
    return copy


DISTRUSTED = {
    "crashes": ("import os; os.abort()", "onnxsim failed with status -6"),
    "raises": ("raise RuntimeError('no such pass')", "onnxsim failed with status 1: RuntimeError: no such pass"),
    "reports a difference": ("import sys; sys.exit(3)", "onnxsim failed with status 3"),
    "hangs": ("import time; time.sleep(60)", "onnxsim gave no result within 1 s"),
    "writes nothing": ("", "onnxsim failed with status 0: no message"),
    "writes garbage": (WRITE_GARBAGE, "onnxsim wrote no usable graph: "),
    "gives an invalid graph": (DROP_NODE, "onnxsim wrote no usable graph: "),
    "changes the result": (SCALE_FIRST_WEIGHT, "onnxsim changed the result by"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", DISTRUSTED)
def test_simplifier_is_not_believed_when_it(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, reason = DISTRUSTED[fault]
    monkeypatch.setattr(module, "_SIMPLIFY", program)
    graph, note = simplify(traced(17), seconds=1 if fault == "hangs" else 60)
    assert graph is traced(17)
    assert note.startswith(reason)


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_simplified_graph_must_compute_what_the_caller_wants(difference: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SIMPLIFY", "import sys, shutil; shutil.copy(sys.argv[1], sys.argv[2])")
    graph, note = simplify(traced(17), difference_of=lambda _: difference)
    assert graph is traced(17)
    assert note.startswith(f"onnxsim changed the result by {difference:.2e} m")


def test_simplifying_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(module, "_SIMPLIFY", "import sys, shutil; shutil.copy(sys.argv[1], sys.argv[2])")
    simplify(traced(17))
    assert list(tmp_path.iterdir()) == []


def test_what_depends_on_constants_alone_is_computed_before() -> None:
    nodes = [
        onnx.helper.make_node("Add", ["a", "a"], ["b"]),
        onnx.helper.make_node("Neg", ["b"], ["c"]),
        onnx.helper.make_node("Identity", ["a"], ["same"]),
        onnx.helper.make_node("Mul", ["x", "c"], ["z"]),
        onnx.helper.make_node("Mul", ["z", "same"], ["y"]),
    ]
    graph = graphs.make_graph(nodes, [3], {"a": np.array([1.0, 2.0, 3.0], np.float32)})
    fold_constants(graph)
    assert [node.op_type for node in graph.nodes] == ["Identity", "Mul", "Mul"]
    np.testing.assert_array_equal(graph.run(np.ones(3, np.float32)), [-2.0, -8.0, -18.0])
