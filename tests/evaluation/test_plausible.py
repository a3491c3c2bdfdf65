"""Errors that cannot be right are doubted, and those that can are not."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.data.sources import open_dataset
from poseedge.evaluation.plausible import Known, doubts
from poseedge.evaluation.predict import Prediction
from tests.support import folders

SEQUENCE = open_dataset(folders.MINI, "gt").sequences[0]
FRAMES = np.arange(len(SEQUENCE))


def shifted(millimetres: float, frames: int = len(FRAMES)) -> list[Prediction]:
    """Return predictions that have every joint that far from where it is."""
    poses = SEQUENCE.relative_m[:frames] + np.array([millimetres / 1000, 0, 0], np.float32)
    return [Prediction(SEQUENCE, FRAMES[:frames], poses)]


def test_an_error_below_that_of_standing_still_is_not_doubted() -> None:
    assert doubts(shifted(60)) == []


def test_an_error_above_that_of_standing_still_is_doubted() -> None:
    (said,) = doubts(shifted(304))
    assert said.startswith("MPJPE is 304.0 mm, and ")
    assert "weights damaged or untrained" in said


@pytest.mark.parametrize(("found", "doubted"), [(38, False), (36, False), (47, False), (49, True), (28, True)])
def test_an_error_is_doubted_beyond_a_quarter_of_the_known_one(found: float, doubted: bool) -> None:
    said = doubts(shifted(found), Known(38.0, "the recipe of nanohtnet"))
    assert said == (
        [f"MPJPE is {found:.1f} mm, and the recipe of nanohtnet says 38.0 mm of this data: did a file change?"] * doubted
    )


def test_few_frames_are_not_judged() -> None:
    assert doubts(shifted(304, frames=29), Known(38.0, "the recipe")) == []
    assert len(doubts(shifted(304, frames=30), Known(38.0, "the recipe"))) == 2
