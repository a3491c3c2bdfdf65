"""A data set that loads and cannot be right is told so, with what would make it right; a sound one is left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.data.h36m import load_dataset
from poseedge.data.mistakes import mistakes, warnings_of
from poseedge.data.npz import read_npz
from poseedge.data.types import PoseSequence
from poseedge.resources import resource
from poseedge.skeleton import MIRROR
from tests.support.folders import MINI, Folder, excerpt

TO_COCO = [10, 9, 9, 9, 9, 11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]  # about: Human3.6M has no eyes and ears


def motion(change: Callable[[Any], Any]) -> Callable[[Folder], None]:
    """Return what changes every motion."""

    def bend(folder: Folder) -> None:
        for actions in folder.motion.values():
            for action in actions:
                actions[action] = change(actions[action])

    return bend


def tracks(change: Callable[[Any, Any], Any]) -> Callable[[Folder], None]:
    """Return what changes every track, given its camera."""

    def bend(folder: Folder) -> None:
        for subject, actions in folder.tracks.items():
            for action in actions:
                actions[action] = [change(t, c) for t, c in zip(actions[action], folder.cameras[subject], strict=True)]

    return bend


def cameras(change: Callable[[dict[str, Any]], object]) -> Callable[[Folder], None]:
    """Return what changes every camera."""

    def bend(folder: Folder) -> None:
        for entries in folder.cameras.values():
            for entry in entries:
                change(entry)

    return bend


def scaled(entry: dict[str, Any], factor: float) -> None:
    entry["translation"] = [factor * value for value in entry["translation"]]


def both_on_one_side(folder: Folder) -> None:
    motion(lambda m: m[:, MIRROR])(folder)
    tracks(lambda t, c: t[:, MIRROR])(folder)


def size(camera: dict[str, Any]) -> Any:
    return np.array([camera["res_w"], camera["res_h"]])


WRONG: dict[str, tuple[Callable[[Folder], object], str]] = {
    "motion in millimetres": (motion(lambda m: m * 1000), "the motion is in millimetres: times 0.001"),
    "motion in inches": (motion(lambda m: m / 0.0254), "the motion is in inches: times 0.0254"),
    "camera in millimetres": (cameras(lambda c: scaled(c, 1000)), "translation is in millimetres: times 0.001"),
    "quaternion x y z w": (
        cameras(lambda c: c.update(orientation=[*c["orientation"][1:], c["orientation"][0]])),
        "orientation is (x, y, z, w): write (w, x, y, z)",
    ),
    "inverse quaternion": (
        cameras(lambda c: c.update(orientation=[c["orientation"][0], *(-v for v in c["orientation"][1:])])),
        "orientation turns the world into the camera: write its inverse",
    ),
    "y up": (motion(lambda m: np.stack([m[..., 0], m[..., 2], -m[..., 1]], axis=-1)), "y up"),
    "normalized to [-1, 1]": (
        tracks(lambda t, c: t / c["res_w"] * 2 - [1, c["res_h"] / c["res_w"]]),
        "normalized to [-1, 1] already: write pixels",
    ),
    "normalized to [0, 1]": (tracks(lambda t, c: t / size(c)), "normalized to [0, 1]: times width and height"),
    "x and y exchanged": (tracks(lambda t, c: t[..., ::-1]), "x and y of the keypoints are exchanged"),
    "mirrored": (tracks(lambda t, c: t * [-1, 1] + [c["res_w"], 0]), "mirrored: x is width - x"),
    "left and right of the keypoints": (tracks(lambda t, c: t[:, MIRROR]), "left and right of the keypoints are exchanged"),
    "COCO's order": (tracks(lambda t, c: t[:, TO_COCO]), "the keypoints are in COCO's order"),
    "left and right of everything": (both_on_one_side, "left and right are exchanged"),
    "another order of joints": (motion(lambda m: m[:, np.random.default_rng(0).permutation(17)]), "of Human3.6M in order"),
    "zero frames": (tracks(lambda t, c: np.where(np.arange(len(t))[:, None, None] < 2, 0, t)), "fill the gaps"),
    "focal length below zero": (cameras(lambda c: c.update(focal_length=[-1100, -1100])), "focal_length is in pixels"),
    "one camera twice": (cameras(lambda c: c.update(id="same")), "one entry for each camera"),
    "one subject in both halves": (lambda f: f.rig["train"].append("S9") if f.rig else None, "name each subject once"),
    "three thousand frames per second": (lambda f: f.rig.update(fps=3000) if f.rig else None, "frames per second"),
}


def longer() -> Folder:
    """Return an excerpt of whole takes: knees bend there, and bones can be watched."""
    folder = excerpt()
    motions = read_npz(MINI / "data_3d_mocap17-mini.npz")["positions_3d"]
    seen = read_npz(MINI / "data_2d_mocap17-mini_gt.npz")["positions_2d"]
    for subject, actions in folder.motion.items():
        for action in actions:
            actions[action] = motions[subject][action].copy()
            folder.tracks[subject][action] = [t.copy() for t in seen[subject][action]]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_mistake_is_named_by_what_mends_it(name: str, tmp_path: Path) -> None:
    folder = longer()
    bend, fix = WRONG[name]
    bend(folder)
    found = mistakes(load_dataset(folder.write(tmp_path)))
    assert any(fix in mistake.fix for mistake in found), found
    assert len({mistake.what for mistake in found}) == len(found) <= 8


@pytest.mark.parametrize("keypoints", ["gt", "detected"])
@pytest.mark.parametrize("name", ["mocap17-mini", "mocap17-calib"])
def test_sound_data_set_has_no_mistake(name: str, keypoints: str) -> None:
    assert mistakes(load_dataset(resource("calib_data", name), keypoints)) == []


def test_every_clip_by_itself_has_no_mistake() -> None:
    dataset = load_dataset(MINI, "detected")
    assert [s.name for s in dataset.sequences if mistakes(replace(dataset, sequences=(s,)))] == []


def test_people_of_a_pixel_are_told_where_no_camera_tells_where_they_should_be() -> None:
    dataset = load_dataset(MINI)
    assert mistakes(replace(dataset, sequences=tuple(map(unknown, dataset.sequences)))) == []
    dotted = tuple(replace(unknown(s), keypoints=s.keypoints / 1000 - 1) for s in dataset.sequences)
    (mistake,) = mistakes(replace(dataset, sequences=dotted))
    assert mistake.fix == "the keypoints are normalized already: write pixels"


def unknown(sequence: PoseSequence) -> PoseSequence:
    """Return a sequence whose focal length nobody knows, as MPI-INF-3DHP's."""
    return replace(sequence, camera=replace(sequence.camera, intrinsics=np.zeros(9, np.float32)))


def test_3dhp_in_metres_is_told() -> None:
    """Its reader takes millimetres, so metres come out a thousand times too small."""
    dataset = load_dataset(MINI)
    small = tuple(replace(s, joints_m=s.joints_m / 1000) for s in dataset.sequences)
    assert [mistake.fix for mistake in mistakes(replace(dataset, sequences=small))] == ["the motion is in kilometres: times 1000"]


@pytest.mark.parametrize(
    ("fps", "frames", "known", "warned"),
    [
        (50, 243, 50, False),
        (25, 243, 50, True),
        (30, 27, 30, False),
        (29.97, 27, 30, False),
        (60, 27, 50, True),
        (25, 1, 50, False),
    ],
)
def test_another_frame_rate_than_the_networks_is_said(fps: float, frames: int, known: float, warned: bool) -> None:
    said = warnings_of(replace(load_dataset(MINI), fps=fps), frames, known)
    assert [f"{fps:g} frames per second, and the network is taken to know {known:g}" in line for line in said] == [True] * warned


def test_an_impossible_frame_rate_is_said_once() -> None:
    assert len(warnings_of(replace(load_dataset(MINI), fps=3000), 243)) == 1
