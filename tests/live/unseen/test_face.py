"""The trunk's formula does not change with every joint of the face that is unsure for a moment."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.live.layouts import Trunk, from_coco, to_coco
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.types import Clip, Track
from poseedge.live.unseen.face import FADE_S, completed
from poseedge.metrics import jitter
from tests.support import recorded
from tests.support.linear_lifter import Array, LinearLifter

TRUNK, HEAD = [7, 8, 9, 10], 10
FPS = 50.0


def walking(frames: int = 200) -> Array:
    """Return COCO keypoints ``(T, 17, 2)`` of recorded motion, with a face that turns a little."""
    h36m = recorded.pixels(20)[:frames]
    turn = np.sin(np.arange(frames) / 20)[:, None, None] * np.array([3, 0])
    offsets = np.array([(9, 8), (12, 2), (4, 2), (10, 4), (-8, 4)])
    limbs = h36m[:, [11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]]
    return np.concatenate([h36m[:, [HEAD]] + offsets + turn, limbs], axis=1).astype(np.float32)


def joints_of(coco: Array, trunk: Trunk = "fitted") -> tuple[Array, Array]:
    """Return Human3.6M's joints and scores as ``lift`` makes them at 50 frames per second."""
    filled, shares = completed(coco, np.arange(len(coco)) / FPS)
    return from_coco(filled, to_coco(coco, np.ones(coco.shape[:2], np.float32), "coco17")[1], trunk, shares=shares)


def hidden(coco: Array, joints: list[int], frames: Array | slice) -> Array:
    coco = coco.copy()
    rows = np.arange(len(coco))[frames]
    coco[rows[:, None], joints] = np.nan
    return coco


@pytest.mark.parametrize("trunk", ["fitted", "papers"])
@pytest.mark.parametrize("joints", [[4], [0, 3, 4], [0, 1, 2, 3, 4]], ids=["an ear", "one side", "all"])
def test_flickering_face_leaves_trunk_and_head_in_place(trunk: Trunk, joints: list[int]) -> None:
    coco = walking()
    true, _ = joints_of(coco, trunk)
    flicker = np.random.default_rng(0).uniform(size=len(coco)) < 0.5
    flicker[0] = False
    found, scores = joints_of(hidden(coco, joints, flicker), trunk)
    without, _ = from_coco(*to_coco(hidden(coco, joints, flicker), np.ones(coco.shape[:2], np.float32), "coco17"), trunk)
    off, jump = (np.linalg.norm(px - true, axis=-1)[flicker][:, TRUNK].max() for px in (found, without))
    assert off < 3 < jump  # pixels, of a person 450 tall
    steps = [np.linalg.norm(np.diff(px[:, TRUNK], n=2, axis=0), axis=-1).mean() for px in (found, true, without)]
    assert steps[0] < steps[1] + 0.15 * (steps[2] - steps[1])
    np.testing.assert_array_equal(found[~flicker], true[~flicker])
    assert (scores[flicker][:, [9, 10]] == 0).all()  # said to be filled in
    assert (scores[~flicker] == 1).all()
    assert (scores[:, [7, 8]] == 1).all()


def test_face_that_goes_fades_to_shoulders_and_hips_and_back() -> None:
    coco = walking()
    gone = hidden(coco, [0, 1, 2, 3, 4], slice(60, 140))
    found, scores = joints_of(gone)
    without, _ = from_coco(*to_coco(gone, np.ones(coco.shape[:2], np.float32), "coco17"))
    np.testing.assert_array_equal(found[100:140], without[100:140])
    assert (scores[100:140] == 1).all()  # of the shoulders
    np.testing.assert_array_equal(found[160:], joints_of(coco)[0][160:])
    fade = round(FADE_S * FPS)
    for start in (60, 85, 140, 140 + fade):  # lost, given up, seen again, trusted again
        step = np.linalg.norm(found[start, TRUNK] - found[start - 1, TRUNK], axis=-1).max()
        assert step < 5, start
    assert np.linalg.norm(without[140, TRUNK] - without[139, TRUNK], axis=-1).max() > 10  # what it would have been


def test_face_follows_the_head_where_a_part_of_it_is_seen() -> None:
    coco = walking()
    coco[100:, :5] += 10  # the head moves, the shoulders do not
    found, _ = joints_of(hidden(coco, [3, 4], slice(100, 110)))
    true, _ = joints_of(coco)
    assert np.abs(found[100:110, HEAD] - true[100:110, HEAD]).max() < 1.5


def test_face_that_was_never_seen_is_not_waited_for() -> None:
    coco = hidden(walking(), [3], slice(None))
    found, scores = joints_of(coco)
    without, certain = from_coco(*to_coco(coco, np.ones(coco.shape[:2], np.float32), "coco17"))
    np.testing.assert_array_equal(found, without)
    np.testing.assert_array_equal(scores, certain)
    assert not np.isnan(found).any()


def test_faces_do_not_mend_shoulders() -> None:
    coco = hidden(walking(), [5], slice(50, 60))
    found, scores = joints_of(coco)
    assert np.isnan(found[50:60][:, [11, *TRUNK]]).all()
    assert (scores[50:60][:, TRUNK] == 0).all()
    np.testing.assert_array_equal(found[60:], joints_of(walking())[0][60:])


def test_poses_of_a_flickering_face_are_as_steady_as_without() -> None:
    coco, scores = walking(), np.ones((200, 17), np.float32)
    unsure = scores.copy()
    unsure[np.arange(0, 200, 3)[1:], 4] = 0.29
    steady, flickering = (
        lift_clip(
            LinearLifter(),
            Clip("clip", "coco17", (Track(1, np.arange(200), coco, each),), np.arange(200), (1000, 1002), FPS),
            LiftOptions(),
        )
        for each in (scores, unsure)
    )
    assert jitter(flickering.poses_m[0]) < 1.1 * jitter(steady.poses_m[0])
    assert set(np.argwhere(flickering.filled[0])[:, 1]) == {9, 10}
    assert np.abs(flickering.poses_m - steady.poses_m).max() < 0.02
