"""An export with --stream: beside every graph its streaming form, in the manifest and compared with the windows'."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.backends.registry import load
from poseedge.bench.accuracy import posed
from poseedge.bench.entries import Subject, subjects_of
from poseedge.bench.measure import BenchSettings, call_of, measure_subjects
from poseedge.bench.motion import first_frames, open_motion
from poseedge.bundle.manifest import MANIFEST
from poseedge.bundle.reading import open_bundle
from poseedge.caches import CachedLifter
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.export import streams
from poseedge.export.pipeline import export_bundle
from poseedge.export.recipe import load_recipe
from poseedge.files import sha256_of
from poseedge.fold import streaming_form
from poseedge.graph.graph import Graph
from poseedge.models.checkpoints import save_checkpoint
from poseedge.targets.boards import load_target
from tests.support import recorded, small_export, streaming

pytestmark = pytest.mark.slow
PRECISIONS = ("fp32", "fp16", "int8")


@pytest.fixture(scope="module")
def bundle(export_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of a causal network of 27 frames for a board that knows opset 13."""
    folder = tmp_path_factory.mktemp("streaming")
    save_checkpoint(folder / "causal.pth", streaming.network(channels=32), {})
    job = small_export.job(
        export_inputs,
        folder / "bundle",
        recipe=load_recipe("videopose3d").model_copy(update={"parity": {}}),
        checkpoint=folder / "causal.pth",
        stream=True,
        target=load_target("jetson-nano"),
        precisions=PRECISIONS,
    )
    export_bundle(job)
    return folder / "bundle"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_streaming_form_gives_the_poses_of_the_graph_for_windows(bundle: Path, precision: str) -> None:
    windows, stream = load(bundle, precision), load(bundle, precision, stream=True)
    assert not isinstance(windows, CachedLifter)
    assert isinstance(stream, CachedLifter)
    assert stream.spec.precision == windows.spec.precision == precision
    rows, memory = recorded.sequences()[20].keypoints[:100].astype(np.float32), stream.begin()
    for newest in range(100):
        window = rows[np.clip(np.arange(newest - 26, newest + 1), 0, None)][None]
        np.testing.assert_allclose(memory.push(rows[newest]), windows(window)[0, 0], rtol=0, atol=1e-5)


def test_manifest_says_what_was_compared_and_vouches_for_every_file(bundle: Path) -> None:
    manifest: dict[str, Any] = json.loads((bundle / MANIFEST).read_text())
    assert list(manifest["streams"]) == list(PRECISIONS)
    for precision, entry in manifest["streams"].items():
        assert entry["file"] == f"videopose3d_{precision}_stream.onnx"
        assert manifest["files"][entry["file"]] == sha256_of(bundle / entry["file"])
        assert entry["frames"] > 0
        assert entry["from_windows_mm"] < 0.01
        assert entry["opset"] == 13


def test_int8_stands_where_it_stands_for_windows(bundle: Path) -> None:
    found = {}
    for kind in ("int8", "int8_stream"):
        graph = Graph.load(bundle / f"videopose3d_{kind}.onnx")
        layers = [node for node in graph.of("MatMul") if graph.maker(node.input[1], "DequantizeLinear")]
        found[kind] = sorted(graph.shapes[node.input[1]] for node in layers)
    assert found["int8"] == found["int8_stream"] == [(32, 32), (32, 32), (96, 32), (96, 32)]


def test_half_precision_stays_inside(bundle: Path) -> None:
    graph = Graph.load(bundle / "videopose3d_fp16_stream.onnx")
    assert {graph.types[name] for name in (*graph.inputs, *graph.outputs)} == {1}
    assert graph.half


def test_bench_times_a_frame_of_a_streaming_form(bundle: Path) -> None:
    paths = [subject.path.name for subject in subjects_of(bundle)[0]]
    forms = [f"videopose3d_{precision}" for precision in PRECISIONS]
    assert paths == ["causal.pth", *(f"{form}.onnx" for form in forms), *(f"{form}_stream.onnx" for form in forms)]
    calls: list[Any] = [call_of(load(bundle, "fp32", stream=stream), 1) for stream in (True, False)]
    assert [call().shape for call in calls] == [(17, 3), (1, 1, 17, 3)]


def test_bench_tests_a_streaming_form_as_the_graph_for_windows(bundle: Path) -> None:
    motion = first_frames(open_motion(), 40)
    windows, stream = (posed(load(bundle, "fp32", stream=streaming), motion, "") for streaming in (False, True))
    for one, other in zip(windows.single, stream.single, strict=True):
        np.testing.assert_allclose(one.poses_m, other.poses_m, rtol=0, atol=1e-5)


def test_bench_leaves_out_what_a_runtime_that_nobody_named_cannot_open(bundle: Path, no_cold_starts: None) -> None:
    pytest.importorskip("openvino")
    stream = bundle / "videopose3d_fp32_stream.onnx"
    settings = BenchSettings(rounds=1, frames=30, backend=("onnxruntime", "openvino"), unasked=("onnxruntime", "openvino"))
    report = measure_subjects([Subject(stream)], settings, lambda *_: None)
    assert [row.backend for row in report.rows] == ["onnxruntime"]
    assert any(note.startswith("left out: ") for note in report.notes)
    with pytest.raises(ArtefactError, match="is a streaming form, which does not run on OpenVINO here"):
        measure_subjects([Subject(stream)], replace(settings, unasked=()), lambda *_: None)


def test_changed_streaming_graph_is_refused(bundle: Path, tmp_path: Path) -> None:
    for path in bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "videopose3d_fp32_stream.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ArtefactError, match=r"fp32_stream\.onnx: SHA-256"):
        open_bundle(tmp_path)


def test_bundle_without_streaming_forms_gives_the_graph_for_windows(small_bundle: Path) -> None:
    assert "streams" not in json.loads((small_bundle / MANIFEST).read_text())
    assert load(small_bundle, "fp32", stream=True).path == load(small_bundle, "fp32").path


def test_network_without_a_streaming_form_is_told_from_those_with_one(export_inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match="nanohtnet has no streaming form"):
        export_bundle(small_export.job(export_inputs, tmp_path / "none", stream=True, precisions=("fp32",)))
    assert not (tmp_path / "none").exists()


def test_streaming_form_that_differs_is_no_bundle(export_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "streaming_form", lambda network: streaming_form(streaming.network(causal=False)))
    save_checkpoint(tmp_path / "causal.pth", streaming.network(), {})
    job = small_export.job(
        export_inputs,
        tmp_path / "bundle",
        recipe=load_recipe("videopose3d"),
        checkpoint=tmp_path / "causal.pth",
        settings={"causal": True},
        stream=True,
        precisions=("fp32",),
    )
    with pytest.raises(PoseedgeError, match="streaming form of videopose3d differs"):
        export_bundle(job)
