"""One motion gives the same joints in whatever file a detector wrote it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poseedge.live.formats import read_clip
from poseedge.live.layouts import COCO_NAMES, LAYOUTS, to_h36m
from poseedge.live.types import Clip
from tests.support import keypoint_files as files
from tests.support import motion
from tests.support.keypoint_files import People, Person

START = 3  # "10.jpg" stands before "9.jpg" as text
EMPTY = (11, 17)  # frames in which nobody was found
GONE = (20, 21, 22)  # frames that the second person is not in

Writer = Callable[[Path, People], Path]
WRITERS: dict[str, Writer] = {
    "alphapose": files.alphapose,
    "alphapose cmu": lambda path, people: files.alphapose_pictures(path, people, "cmu"),
    "alphapose open": lambda path, people: files.alphapose_pictures(path, people, "open"),
    "coco": files.coco_results,
    "openpose": files.openpose,
    "mmpose video": files.mmpose_video,
    "mmpose demo": files.mmpose_demo,
    "mmpose pictures": files.mmpose_pictures,
    "ultralytics list": files.ultralytics_list,
    "ultralytics strings": files.ultralytics_strings,
    "ultralytics lines": files.ultralytics_lines,
    "ultralytics folder": files.ultralytics_folder,
    "ultralytics normalized": lambda path, people: files.ultralytics_folder(path, people, motion.SIZE),
    "ultralytics-txt": lambda path, people: files.ultralytics_txt(path, people, motion.SIZE),
    "ultralytics-txt plain": lambda path, people: files.ultralytics_txt(path, people, motion.SIZE, ids=False, confidence=False),
    "jsonlines": files.jsonlines,
    "npy": files.array,
    "npz": files.array_with_frames,
    "csv": files.table,
}
SEVENTEEN: dict[str, Writer] = {
    "videopose3d": lambda path, people: files.videopose3d_inferred(path, people, motion.SIZE),
    "csv named": lambda path, people: files.table(path, people, ";", COCO_NAMES),
}
WITHOUT_FIRST = {"ultralytics list", "ultralytics strings", "ultralytics lines", "videopose3d", "npy"}  # frames from 0 on
ROUNDED = {"ultralytics-txt", "ultralytics-txt plain"}  # six digits of the picture's share
WITHOUT_NUMBERS = {"npy"}  # here of what begins at frame 3
AMBIGUOUS = {"ultralytics-txt plain"}  # lines of 18 pairs are as long as those of 17 with confidence and id


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
