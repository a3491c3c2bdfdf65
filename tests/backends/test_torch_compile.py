"""``torch.compile`` is a backend of its own, for checkpoints, which nothing takes unasked."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from poseedge.backends.registry import backends, load, probe
from poseedge.lifter import random_keypoints
from tests.support import samples


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return samples.checkpoint(tmp_path / "small.pth")


def test_checkpoint_is_compiled_when_it_is_asked_for_and_gives_the_same_poses(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(self))  # a compiler takes half a minute
    plain, lifter = load(checkpoint), load(checkpoint, backend="torch-compile")
    assert (plain.backend, lifter.backend) == ("torch", "torch-compile")
    assert compiled == [lifter.lift]  # type: ignore[attr-defined]
    keypoints = random_keypoints(lifter.spec, 2)
    np.testing.assert_array_equal(lifter(keypoints), plain(keypoints))


def test_what_it_needs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    told = probe(backends()["torch-compile"])
    assert (told.works, told.fix) == (False, "sudo apt install g++")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert probe(backends()["torch-compile"]).works
