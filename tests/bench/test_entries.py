"""A bundle is timed in all its precisions, beside the very checkpoint that it was made from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from poseedge.bench import memory
from poseedge.bench.entries import Subject, subjects_of
from poseedge.bench.measure import BenchSettings, measure_subjects
from tests.support import golden, samples


def test_single_file_is_its_own_subject() -> None:
    assert subjects_of(Path("a.onnx")) == ([Subject(Path("a.onnx"))], [])


def test_bundle_gives_its_checkpoint_then_its_precisions(tmp_path: Path) -> None:
    source = samples.checkpoint(tmp_path / "small.pth")
    folder = samples.bundle(tmp_path / "bundle", source)
    subjects, notes = subjects_of(folder)
    assert [subject.path for subject in subjects] == [source, folder / "fp32.onnx", folder / "int8.onnx"]
    assert [subject.params for subject in subjects] == [1234] * 3
    assert notes == []


def test_parity_of_the_manifest_goes_with_its_precision(tmp_path: Path) -> None:
    source = samples.checkpoint(tmp_path / "small.pth")
    reference, fp32, int8 = subjects_of(samples.bundle(tmp_path / "bundle", source))[0]
    assert (fp32.mpjpe_mm, fp32.delta_mpjpe_mm) == (39.01, 0.01)
    assert (int8.mpjpe_mm, int8.delta_mpjpe_mm) == (39.4, 0.4)
    assert (reference.mpjpe_mm, reference.delta_mpjpe_mm) == (39.0, 0.0)


@pytest.mark.slow
def test_published_checkpoint_that_fits_two_networks_is_loaded_as_the_one_that_was_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "QUICK_MS", 0.0)  # in a process of its own, too, but in one
    source = tmp_path / "published.pth"
    torch.save(golden.network("tpc_mixste-f27").state_dict(), source)
    reference = subjects_of(samples.bundle(tmp_path / "bundle", source, model="tpc_mixste"))[0][0]
    report = measure_subjects([reference], BenchSettings(rounds=1, frames=0), lambda *_: None)
    assert [row.model for row in report.rows] == ["tpc_mixste"]


def test_single_file_has_no_error_in_millimetres() -> None:
    (subject,), _ = subjects_of(Path("a.onnx"))
    assert (subject.mpjpe_mm, subject.delta_mpjpe_mm) == (None, None)


def test_missing_checkpoint_leaves_the_graphs_and_a_note(tmp_path: Path) -> None:
    source = samples.checkpoint(tmp_path / "small.pth")
    folder = samples.bundle(tmp_path / "bundle", source)
    source.unlink()
    subjects, notes = subjects_of(folder)
    assert [subject.path.name for subject in subjects] == ["fp32.onnx", "int8.onnx"]
    assert notes[0].startswith("no speed-up against PyTorch: ")
    assert "small.pth: the bundle's checkpoint is not on this machine" in notes[0]


def test_another_checkpoint_of_the_same_name_is_no_reference(tmp_path: Path) -> None:
    source = samples.checkpoint(tmp_path / "small.pth")
    folder = samples.bundle(tmp_path / "bundle", source)
    samples.checkpoint(source, "nanohtnet-pretrain")
    subjects, notes = subjects_of(folder)
    assert len(subjects) == 2
    assert "small.pth: has changed since the bundle was exported" in notes[0]


def test_without_torch_the_note_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = samples.bundle(tmp_path / "bundle", samples.checkpoint(tmp_path / "small.pth"))
    monkeypatch.setitem(sys.modules, "torch", None)
    subjects, notes = subjects_of(folder)
    assert len(subjects) == 2
    assert "pip install 'poseedge[export]'" in notes[0]
