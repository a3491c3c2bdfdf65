"""Keypoint files as their programs write them; the source of each form stands with its writer.

Every writer takes, for each frame, the people in it as (id, keypoints (K, 2), scores (K,)), and the frames' numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Person = tuple[int, npt.NDArray[Any], npt.NDArray[Any]]
People = dict[int, list[Person]]  # by frame


def flat(person: Person) -> list[float]:
    return [float(value) for value in np.column_stack(person[1:]).ravel()]


def alphapose(path: Path, people: People, **extra: Any) -> Path:
    """AlphaPose alphapose/utils/pPose_nms.py write_json; pictures of a video are named by ``str(i) + '.jpg'``."""
    entries = [
        {
            "image_id": f"{frame}.jpg",
            "category_id": 1,
            "keypoints": flat(person),
            "score": 2.9,
            "box": [0.0] * 4,
            "idx": person[0],
        }
        for frame, inside in people.items()
        for person in inside
    ]
    return dump(path / "alphapose-results.json", entries)


def alphapose_pictures(path: Path, people: People, form: str = "cmu") -> Path:
    """The same function with ``--format cmu`` or ``open``: pictures without people are absent here too."""
    bodies, joints = {"cmu": ("bodies", "joints"), "open": ("people", "pose_keypoints_2d")}[form]
    pictures = {
        f"{frame}.jpg": {"version": "AlphaPose v0.3", bodies: [{joints: flat(person)} for person in inside]}
        for frame, inside in people.items()
        if inside
    }
    return dump(path / "alphapose-results.json", pictures)


def openpose(path: Path, people: People, stem: str = "video") -> Path:
    """OpenPose doc/02_output.md; a file per frame, also for frames without people."""
    folder = path / "json"
    folder.mkdir()
    hands: dict[str, list[float]] = {f"{part}_keypoints_2d": [] for part in ("face", "hand_left", "hand_right")}
    for frame, inside in people.items():
        found = [{"person_id": [-1], "pose_keypoints_2d": flat(person), **hands} for person in inside]
        dump(folder / f"{stem}_{frame:012}_keypoints.json", {"version": 1.3, "people": found})
    return folder


def array(path: Path, people: People) -> Path:
    """``(T, P, K, 3)``, nobody as zeros."""
    most = max(map(len, people.values()))
    joints = len(next(inside for inside in people.values() if inside)[0][1])
    values = np.zeros((len(people), most, joints, 3), np.float32)
    for row, inside in enumerate(people.values()):
        for number, person in enumerate(inside):
            values[row, number] = np.column_stack(person[1:])
    np.save(path / "keypoints.npy", values)
    return path / "keypoints.npy"


def array_with_frames(path: Path, people: People) -> Path:
    """The same as npz, with the frames beside and ids where all people are of one order."""
    values = np.load(array(path, people))
    np.savez_compressed(path / "keypoints.npz", keypoints=values[..., :2], scores=values[..., 2], frames=np.array(list(people)))
    return path / "keypoints.npz"


def dump(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path
