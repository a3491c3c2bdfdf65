"""A refine checkpoint changes lifted poses as the published test does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poseedge.data.types import PoseSequence
from poseedge.errors import CheckpointError, DataError
from poseedge.evaluation.refine import load_refine
from poseedge.models.checkpoints import save_checkpoint
from tests.support import golden
from tests.support.echo import CAMERA, dataset

NAME = "graphmlp-refine"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "refine.pth", golden.network(NAME), {})
    return tmp_path / "refine.pth"


def sample(number: int) -> PoseSequence:
    """Return a stored sample as a sequence of its three frames."""
    stored = golden.arrays(NAME)
    camera = replace(CAMERA, intrinsics=stored["cam"][number])
    return PoseSequence("S9", "Walking", camera, stored["uv"][number], stored["gt"][number])


def test_refined_poses_equal_the_published_ones(checkpoint: Path) -> None:
    stored, refine = golden.arrays(NAME), load_refine(checkpoint)
    for number in range(len(stored["input"])):
        frames = np.array([golden.case(NAME)["pad"]])
        found = refine(sample(number), frames, stored["input"][number])
        np.testing.assert_allclose(found, stored["output"][number], atol=1e-5)


def test_a_lifting_network_is_no_refine_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "lifter.pth", golden.network("nanohtnet-small"), {})
    with pytest.raises(CheckpointError, match="holds nanohtnet, which refines no poses"):
        load_refine(tmp_path / "lifter.pth")


def test_a_data_set_without_cameras_cannot_be_refined(checkpoint: Path) -> None:
    unknown = replace(dataset(2).sequences[0], camera=replace(CAMERA, intrinsics=np.zeros(9, np.float32)))
    with pytest.raises(DataError, match="no focal length is known"):
        load_refine(checkpoint)(unknown, np.arange(2), np.zeros((2, 17, 3), np.float32))
