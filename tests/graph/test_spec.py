"""What a graph lifts is told by the file itself, the same as by a session on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from poseedge.backends.registry import load
from poseedge.bench.entries import Subject
from poseedge.bench.measure import BenchSettings, measure_subjects
from poseedge.bundle.reading import open_bundle
from poseedge.errors import ArtefactError
from poseedge.graph.lifting import read_spec
from poseedge.graph.spec import precision_at
from poseedge.lifter import LifterSpec
from tests.support import samples


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_graph_of_ours_is_read_as_its_session_tells_it(small_bundle: Path, precision: str) -> None:
    path = small_bundle / f"nanohtnet_{precision}.onnx"
    weights = open_bundle(small_bundle).manifest.checkpoint.sha256
    wanted = LifterSpec("nanohtnet", 27, (12, 13, 14), precision, 1, weights_sha256=weights)
    assert read_spec(path) == load(path).spec == wanted


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_operators_and_types_of_our_graphs_amount_to_their_precision(small_bundle: Path, precision: str) -> None:
    assert precision_at(small_bundle / f"nanohtnet_{precision}.onnx") == precision


def test_int8_around_half_is_told_from_both(mixed_bundle: Path) -> None:
    assert precision_at(next(mixed_bundle.glob("*int8-fp16.onnx"))) == "int8-fp16"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_graph_of_others_is_not_called_fp32_when_it_is_not(small_bundle: Path, tmp_path: Path, precision: str) -> None:
    model = onnx.load(small_bundle / f"nanohtnet_{precision}.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    assert load(tmp_path / "foreign.onnx").spec.precision == read_spec(tmp_path / "foreign.onnx").precision == precision


def test_weights_that_are_listed_as_inputs_are_none(tmp_path: Path) -> None:
    path = samples.lifting_graph(tmp_path / "old.onnx")
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 3]))
    onnx.save(model, path)
    assert read_spec(path) == load(path).spec


def test_graph_that_lifts_nothing_is_told_with_its_ends(tmp_path: Path) -> None:
    model = samples.model([helper.make_node("Identity", ["x"], ["y"])], ["n", 5, 16, 2], {})
    onnx.save(onnx.shape_inference.infer_shapes(model), tmp_path / "g.onnx")
    with pytest.raises(ArtefactError, match=r"no lifting graph: .* found tensor\(float\) \['n', 5, 16, 2\] -> "):
        read_spec(tmp_path / "g.onnx")


def test_size_counts_weights_that_lie_beside_the_file(tmp_path: Path, no_cold_starts: None) -> None:
    model = onnx.load(samples.lifting_graph(tmp_path / "g.onnx"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((400, 1000), np.float32), "unused"))
    onnx.save(model, tmp_path / "outside.onnx", save_as_external_data=True, location="weights.bin", size_threshold=1024)
    assert (tmp_path / "outside.onnx").stat().st_size < 10_000
    row = measure_subjects([Subject(tmp_path / "outside.onnx")], BenchSettings(rounds=1, frames=0), lambda *_: None).rows[0]
    assert row.file_bytes > 1_600_000
