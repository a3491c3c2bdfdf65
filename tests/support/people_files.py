"""Two people's keypoints as every detector's program writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from poseedge.live.layouts import COCO_NAMES
from tests.support import keypoint_files as files
from tests.support import motion
from tests.support.keypoint_files import People

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
