"""ONNX Runtime on a device gives the poses of the keypoints that it was given, and tells what does not run as asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from poseedge.backends.onnxruntime import CUDA, TENSORRT, TF32_OFF, OnnxLifter
from poseedge.backends.registry import backends, load
from poseedge.bench import measure as measuring
from poseedge.bench.entries import Subject
from poseedge.errors import PoseedgeError
from poseedge.live.detectors.network import open_on
from tests.doubles.onnxruntime import install
from tests.support import samples
from tests.support.engines import expected, keypoints, write_graph


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "small.onnx")


def test_every_call_on_a_device_lifts_its_own_keypoints_in_float32(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    wanted = [expected(graph, keypoints(1, seed)) for seed in range(5)]
    install(monkeypatch, CUDA)
    lifter = load(graph, backend="cuda")
    assert (lifter.backend, lifter.provider) == ("cuda", CUDA)
    for seed, poses in enumerate(wanted):
        np.testing.assert_array_equal(lifter(keypoints(1, seed)), poses)  # TF32 would round them


def test_the_stand_in_rounds_to_tf32_unless_told_not_to(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    window = keypoints(1)
    wanted = expected(graph, window)
    install(monkeypatch, CUDA)
    rounded = ort.InferenceSession(str(graph), providers=[CUDA]).run(["poses"], {"keypoints": window})[0]
    assert 1e-5 < np.abs(rounded - wanted).max() < 1e-2


def test_float32_on_a_device_is_said_to_be_float32(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    install(monkeypatch, CUDA)
    assert load(graph, backend="cuda").notes == (TF32_OFF,)


def test_nodes_that_fall_back_to_the_processor_are_told(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    install(monkeypatch, CUDA, on_cpu=("Gather",))
    notes = load(graph, backend="cuda").notes
    assert any("nodes run in CPUExecutionProvider, such as Gather '" in note for note in notes), notes


def test_onnx_runtime_that_cannot_tell_where_nodes_run_says_so(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    install(monkeypatch, CUDA, tells=False)
    assert "does not tell which nodes" in " ".join(load(graph, backend="cuda").notes)


def test_bench_tells_each_remark_once(monkeypatch: pytest.MonkeyPatch, graph: Path, tmp_path: Path) -> None:
    install(monkeypatch, CUDA)
    monkeypatch.setattr(measuring, "fresh", lambda *_: samples.fresh())  # in a process that has no such device
    other = write_graph(tmp_path / "other.onnx")
    settings = measuring.BenchSettings(rounds=1, frames=0, backend="cuda")
    report = measuring.measure_subjects([Subject(graph), Subject(other)], settings, lambda *_: None)
    assert [(row.backend, row.provider) for row in report.rows] == [("cuda", CUDA)] * 2
    assert [note for note in report.to_json()["notes"] if "TF32" in note] == [f"small.onnx, other.onnx: {TF32_OFF} (cuda)"]


def test_backend_of_bench_is_for_the_files_that_it_opens(
    monkeypatch: pytest.MonkeyPatch, graph: Path, export_inputs: Path
) -> None:
    install(monkeypatch, CUDA)
    monkeypatch.setattr(measuring, "fresh", lambda *_: samples.fresh())
    subjects = [Subject(export_inputs / "small.pth"), Subject(graph)]
    report = measuring.measure_subjects(subjects, measuring.BenchSettings(rounds=1, frames=0, backend="cuda"), lambda *_: None)
    assert [row.backend for row in report.rows] == ["torch", "cuda"]


@pytest.mark.parametrize(
    ("precision", "formats"),
    [
        ("fp32", {"trt_int8_enable": "0", "trt_fp16_enable": "0"}),
        ("fp16", {"trt_int8_enable": "0", "trt_fp16_enable": "1"}),
        ("int8", {"trt_int8_enable": "1", "trt_fp16_enable": "0"}),
    ],
)
def test_tensorrt_inside_onnx_runtime_may_use_the_formats_of_the_graph(
    monkeypatch: pytest.MonkeyPatch, small_bundle: Path, precision: str, formats: dict[str, str]
) -> None:
    install(monkeypatch, TENSORRT, CUDA)
    lifter = load(small_bundle, precision, backend="tensorrt-ep")
    assert isinstance(lifter, OnnxLifter)
    assert lifter.session.get_provider_options()[TENSORRT] == formats
    assert lifter.session.get_provider_options()[CUDA] == {"use_tf32": "0"}  # for what TensorRT leaves
    assert lifter.provider == TENSORRT


def test_tf32_of_tensorrt_is_off_only_by_the_environment(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    install(monkeypatch, TENSORRT, CUDA)
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    assert "may be rounded to TF32" in load(graph, backend="tensorrt-ep").notes[0]
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert load(graph, backend="tensorrt-ep").notes[0] == TF32_OFF


def test_provider_that_is_not_offered_is_told_with_what_to_install(graph: Path) -> None:
    with pytest.raises(PoseedgeError, match="this ONNX Runtime has no CUDAExecutionProvider") as caught:
        load(graph, backend="cuda")
    assert "onnxruntime-gpu" in caught.value.hint


def test_processor_has_nothing_to_remark(graph: Path) -> None:
    assert load(graph).notes == ()


def test_detector_runs_on_the_backends_that_open_sessions(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    install(monkeypatch, CUDA)
    assert open_on(graph, 1, None).get_providers() == ["CPUExecutionProvider"]
    assert open_on(graph, 1, "cuda").get_providers()[0] == CUDA
    assert {name for name, backend in backends().items() if backend.session} == {
        "onnxruntime",
        "cuda",
        "tensorrt-ep",
        "tensorrt-rtx",
    }
