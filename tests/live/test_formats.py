"""One motion gives the same joints in whatever file a detector wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poseedge.live.formats import read_clip
from poseedge.live.layouts import LAYOUTS, to_h36m
from poseedge.live.types import Clip
from tests.support import motion
from tests.support.keypoint_files import Person
from tests.support.people_files import AMBIGUOUS, SEVENTEEN, START, WITHOUT_NUMBERS, WRITERS, two_people

WITHOUT_FIRST = {"ultralytics list", "ultralytics strings", "ultralytics lines", "videopose3d", "npy"}  # frames from 0 on
ROUNDED = {"ultralytics-txt", "ultralytics-txt plain"}  # six digits of the picture's share


def assert_two_people(clip: Clip, layout: str, first: int = START, shift: int = 0, atol: float = 1e-3) -> None:
    """Check both tracks of ``two_people`` as Human3.6M joints, to the rounding of what was written."""
    assert clip.layout == layout
    assert clip.frames.tolist() == list(range(first, START + motion.FRAMES - shift))
    assert len(clip.tracks) == 2
    people = two_people(layout)
    whose = {nearest(people[START], track.keypoints[0]): track for track in clip.tracks}
    for id, track in whose.items():
        wanted = {frame - shift: person for frame, inside in people.items() for person in inside if person[0] == id}
        assert track.frames.tolist() == list(wanted)
        keypoints = np.stack([person[1] for person in wanted.values()])
        scores = np.stack([person[2] for person in wanted.values()])
        expected = to_h36m(keypoints, scores, layout)
        found = to_h36m(track.keypoints, track.scores, clip.layout)
        np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=atol)
        np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=1e-5)
    assert whose.keys() == {1, 2}


def nearest(people: list[Person], keypoints: npt.NDArray[Any]) -> int:
    """Return the id of the person who stands nearest to keypoints."""
    return min(people, key=lambda person: float(np.abs(person[1] - keypoints).mean()))[0]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", WRITERS)
def test_one_motion_in_every_format_and_layout_gives_the_same_joints(tmp_path: Path, name: str, layout: str) -> None:
    path = WRITERS[name](tmp_path, two_people(layout))
    first = 0 if name in WITHOUT_FIRST else START
    clip = read_clip(path, layout=layout if name in AMBIGUOUS else None, size=motion.SIZE)
    assert_two_people(clip, layout, first, START if name in WITHOUT_NUMBERS else 0, 6e-3 if name in ROUNDED else 1e-3)


@pytest.mark.parametrize("name", SEVENTEEN)
def test_formats_of_17_joints_give_the_same_joints_too(tmp_path: Path, name: str) -> None:
    path = SEVENTEEN[name](tmp_path, two_people("coco17"))
    assert_two_people(read_clip(path), "coco17", 0 if name in WITHOUT_FIRST else START)
