"""Any artefact that ``load`` opens can be measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poseedge.bench import measure as measuring
from poseedge.bench.entries import Subject, on_backends, subjects_of
from poseedge.bench.measure import BenchSettings, measure_subjects, reference_place
from poseedge.device.runner.sensors import energy
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.lifter import LifterSpec
from tests.support import samples

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_cold_starts")]

QUICK = BenchSettings(rounds=1, frames=30)


def silent(what: str, done: int, total: int) -> None:
    """Ignore progress."""


@pytest.mark.slow
def test_bundle_and_its_checkpoint_stand_side_by_side(tmp_path: Path) -> None:
    source = samples.checkpoint(tmp_path / "small.pth")
    subjects, _ = subjects_of(samples.bundle(tmp_path / "bundle", source))
    report = measure_subjects(subjects, QUICK, silent)
    assert [(row.backend, row.precision) for row in report.rows] == [
        ("torch", "fp32"),
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
    ]
    assert all(row.latency_ms.n == 8 and row.flops and row.peak_rss_bytes for row in report.rows)
    assert all(row.latency_evicted_ms is None for row in report.rows)


def test_evicted_latency_is_measured_when_asked_for(tmp_path: Path) -> None:
    graph = samples.lifting_graph(tmp_path / "g.onnx")
    report = measure_subjects([Subject(graph)], BenchSettings(rounds=1, evicted=True, frames=0), silent)
    assert report.rows[0].latency_evicted_ms
    assert report.method["evicted_buffer_bytes"] == 64 << 20


def test_method_tells_threads_batch_and_rounds(tmp_path: Path) -> None:
    graph = samples.lifting_graph(tmp_path / "g.onnx")
    method = measure_subjects([Subject(graph)], BenchSettings(batch=3, rounds=2, frames=0), silent).method
    assert (method["threads"], method["batch"], method["rounds"]) == (1, 3, 2)


def test_progress_reaches_the_number_of_rounds(tmp_path: Path) -> None:
    graph, seen = samples.lifting_graph(tmp_path / "g.onnx"), []
    measure_subjects([Subject(graph)], BenchSettings(rounds=2, frames=0), lambda *step: seen.append(step))
    assert ("warm caches", 2, 2) in seen


def test_missing_artefact_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such file"):
        measure_subjects([Subject(tmp_path / "none.onnx")], QUICK, silent)


@pytest.mark.slow
def test_energy_of_each_is_measured_where_power_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "read_rails", lambda: {"VDD_IN": 5000.0, "VDD_SOC": 900.0})
    monkeypatch.setattr(energy, "SETTLE_S", 0.0)
    monkeypatch.setattr(energy, "IDLE_S", 0.2)
    graph = samples.lifting_graph(tmp_path / "g.onnx")
    [row] = measure_subjects([Subject(graph)], BenchSettings(batch=2, rounds=1, energy_s=0.3, frames=0), silent).rows
    assert row.energy is not None
    assert row.energy.of == "VDD_IN"
    assert row.energy.mean_w == pytest.approx(5)
    assert row.energy.gross_j_per_pose == pytest.approx(row.energy.gross_j_per_window / (2 * row.frames_out))


def test_energy_that_nothing_tells_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(energy, "read_rails", dict)
    graph = samples.lifting_graph(tmp_path / "g.onnx")
    report = measure_subjects([Subject(graph)], BenchSettings(rounds=1, energy_s=1, frames=0), silent)
    assert report.rows[0].energy is None
    assert report.notes == ["no energy: nothing tells power here (INA3221, tegrastats, nvidia-smi)"]


def test_layers_that_cannot_be_timed_cost_a_remark_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("poseedge.bench.measure.layer_costs", full)
    graph = samples.lifting_graph(tmp_path / "g.onnx")
    report = measure_subjects([Subject(graph)], BenchSettings(rounds=1, frames=0, layers=True), silent)
    assert report.rows[0].layers is None
    assert report.notes == ["g.onnx: layers were not timed: [Errno 28] No space left on device"]


def test_change_that_is_the_bundle_s_own_is_said_beside_an_error_that_was_measured(tmp_path: Path) -> None:
    graph = samples.lifting_graph(tmp_path / "int8.onnx", "int8")
    report = measure_subjects([Subject(graph, delta_mpjpe_mm=0.4)], BenchSettings(rounds=1, frames=5), silent)
    assert report.rows[0].delta_mpjpe_mm == 0.4
    assert report.rows[0].accuracy is not None
    assert report.notes == ["int8.onnx: change is as the bundle tells it, measured at the export"]


def test_a_gpu_whose_clock_may_vary_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = {"power_mode": None, "gpu_cur_mhz": 306.0, "gpu_min_mhz": 306.0, "gpu_max_mhz": 1020.0}
    monkeypatch.setattr("poseedge.bench.measure.gpu_state", lambda: clocks)
    report = measure_subjects([Subject(samples.lifting_graph(tmp_path / "g.onnx"))], QUICK, silent)
    assert report.notes == ["the GPU's clock may vary from 306 to 1020 MHz: sudo jetson_clocks fixes the clocks"]
    assert report.method["gpu_after"] == clocks


@pytest.mark.parametrize("backend", ["torch", "tensorrt", "no-such"])
def test_backend_that_runs_no_onnx_files_is_refused_where_there_are_some(tmp_path: Path, backend: str) -> None:
    source = samples.checkpoint(tmp_path / "small.pth")
    subjects, _ = subjects_of(samples.bundle(tmp_path / "bundle", source))
    with pytest.raises(PoseedgeError, match=rf"backend '{backend}' .*\.onnx files"):
        measure_subjects(subjects, BenchSettings(rounds=1, frames=0, backend=backend), silent)


def test_backend_of_onnx_files_leaves_the_checkpoint_to_its_own(tmp_path: Path) -> None:
    source = samples.checkpoint(tmp_path / "small.pth")
    subjects, _ = subjects_of(samples.bundle(tmp_path / "bundle", source))
    assert [each.backend for each in on_backends(subjects, ["onnxruntime"])] == [None, "onnxruntime", "onnxruntime"]
    assert [each.backend for each in on_backends(subjects[:1], ["torch"])] == ["torch"]


def stand_in(precision: str, backend: str = "onnxruntime", weights: str = "", model: str = "m") -> Any:
    """Return what tells of a lifter which network it is."""
    spec = LifterSpec(model, 9, (4,), precision, None, weights_sha256=weights)
    return SimpleNamespace(spec=spec, backend=backend, path=Path(f"{precision}.onnx"))


def test_reference_is_float32_of_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "sha256_of", lambda path: "a")
    lifters = [
        *(stand_in("fp32", weights="b"), stand_in("int8", weights="b"), stand_in("int8", weights="a")),
        *(stand_in("fp32", weights="a"), stand_in("int8", model="other"), stand_in("fp16")),
    ]
    assert [reference_place(lifters, place) for place in range(6)] == [0, 0, 3, 3, None, 0]


def test_pytorch_is_the_reference_where_it_has_these_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "sha256_of", lambda path: "a")
    lifters = [
        stand_in("fp32", weights="a"),
        stand_in("fp32", "torch"),
        stand_in("int8", weights="a"),
        stand_in("fp32", weights="b"),
    ]
    assert [reference_place(lifters, place) for place in range(4)] == [1, 1, 1, 3]


def test_ratios_are_to_the_first_graph_not_to_pytorch(tmp_path: Path) -> None:
    subjects = [Subject(samples.checkpoint(tmp_path / "small.pth")), Subject(samples.lifting_graph(tmp_path / "g.onnx"))]
    report = measure_subjects(subjects, BenchSettings(rounds=9, frames=0), silent)
    ratios = [row.ratio for row in report.rows]
    assert ratios[1] is not None
    assert (ratios[1].value, ratios[1].low, ratios[1].high) == (1, 1, 1)
    assert report.method["ratio"].startswith("to g.onnx on onnxruntime")


def test_every_number_of_threads_and_windows_is_timed_and_the_first_alone_is_tested(tmp_path: Path) -> None:
    settings = BenchSettings(threads=1, batch=2, rounds=1, more_batches=(4,), frames=30)
    report = measure_subjects([Subject(samples.lifting_graph(tmp_path / "g.onnx"))], settings, silent)
    assert [(row.batch, row.accuracy is None, row.cold is None) for row in report.rows] == [(2, False, False), (4, True, True)]
    assert report.main_rows == report.rows[:1]


def test_more_threads_than_cores_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match="threads on"):
        measure_subjects([Subject(tmp_path / "none.onnx")], BenchSettings(more_threads=(250,)), silent)
