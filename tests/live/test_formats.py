"""One motion gives the same joints in whatever file a detector wrote it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poseedge.live.formats import read_clip
from poseedge.live.layouts import LAYOUTS, to_h36m
from poseedge.live.types import Clip
from tests.live import keypoint_files as files
from tests.live import motion
from tests.live.keypoint_files import People

START = 3  # "10.jpg" stands before "9.jpg" as text
EMPTY = (11, 17)  # frames in which nobody was found
GONE = (20, 21, 22)  # frames that the second person is not in

Writer = Callable[[Path, People], Path]
WITH_IDS: dict[str, Writer] = {"alphapose": files.alphapose}
WRITERS: dict[str, Writer] = WITH_IDS | {
    "alphapose cmu": lambda path, people: files.alphapose_pictures(path, people, "cmu"),
    "alphapose open": lambda path, people: files.alphapose_pictures(path, people, "open"),
    "openpose": files.openpose,
    "npz": files.array_with_frames,
}


def two_people(layout: str) -> People:
    """Return 30 frames from number 3 on, people in turn first and second, some frames and once one person missing."""
    one, two = motion.in_layout(layout), motion.in_layout(layout, 1)
    people: People = {}
    for row in range(motion.FRAMES):
        frame = START + row
        inside = [(1, one[0][row], one[1][row]), (2, two[0][row] + np.float32(250), two[1][row])]
        inside = inside[:1] if frame in GONE else inside
        people[frame] = [] if frame in EMPTY else inside[:: 1 if row % 2 else -1]
    return people


def assert_two_people(clip: Clip, layout: str) -> None:
    """Check both tracks of ``two_people`` as Human3.6M joints, to the rounding of what was written."""
    assert clip.layout == layout
    assert clip.frames.tolist() == list(range(START, START + motion.FRAMES))
    assert len(clip.tracks) == 2
    people = two_people(layout)
    for track in clip.tracks:
        person = 1 if np.nanmean(track.keypoints[0] - people[START][1][1]) < 1e-3 else 2
        wanted = {frame: entry for frame, inside in people.items() for entry in inside if entry[0] == person}
        assert track.frames.tolist() == list(wanted)
        keypoints = np.stack([entry[1] for entry in wanted.values()])
        scores = np.stack([entry[2] for entry in wanted.values()])
        expected = to_h36m(keypoints, scores, layout)
        found = to_h36m(track.keypoints, track.scores, clip.layout)
        np.testing.assert_allclose(found[0], expected[0], atol=2e-3)
        np.testing.assert_allclose(found[1], expected[1], atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", WRITERS)
def test_one_motion_in_every_format_and_layout_gives_the_same_joints(tmp_path: Path, name: str, layout: str) -> None:
    path = WRITERS[name](tmp_path, two_people(layout))
    assert_two_people(read_clip(path), layout)
