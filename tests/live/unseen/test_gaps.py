"""Swaps are undone and jumps thrown out; motion as people move stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.live.unseen.gaps import Continuity, Faults, gate
from poseedge.skeleton import MIRROR
from tests.support import recorded
from tests.support.linear_lifter import Array


def believed(joints: Array, fps: float = 50.0) -> tuple[Array, Faults, list[int]]:
    """Return joints as they are believed, what was thrown out, and the frames in which somebody else stood there."""
    faults, rows, others = Faults(), [], []
    continuity = Continuity(faults)
    for number, px in enumerate(joints):
        row, other = continuity.check(px, number / fps)
        if other:
            others.append(number)
            continuity.begin()
            row, _ = continuity.check(px, number / fps)
        rows.append(row)
    return np.stack(rows), faults, others


def test_unsure_zero_and_infinite_keypoints_are_missing() -> None:
    keypoints = np.full((6, 2), 100.0, np.float32)
    keypoints[1] = 0
    keypoints[2, 0] = np.nan
    keypoints[3, 1] = np.inf
    scores = np.array([0.3, 1, 1, 1, 0.29, np.nan], np.float32)
    assert np.isnan(gate(keypoints, scores)).all(axis=-1).tolist() == [False, True, True, True, True, True]
    assert gate(np.array([[0.0, 50.0]]), np.ones(1)).tolist() == [[0.0, 50.0]]  # at the picture's edge


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(recorded.sequences())))
@pytest.mark.parametrize("step", [1, 2, 5])
def test_recorded_motion_is_believed_at_50_25_and_10_hz(place: int, step: int) -> None:
    joints = recorded.pixels(place)[::step]
    rows, faults, others = believed(joints, 50 / step)
    thrown_out = np.isnan(rows).any(axis=-1)
    boxer = {(12, 2): 4, (13, 2): 2, (15, 2): 2}  # whose wrists at 25 Hz are too quick, of 2,550 joints of a camera
    assert thrown_out.sum() <= boxer.get((place, step), 0)
    np.testing.assert_array_equal(rows[~thrown_out], joints[~thrown_out])
    assert (faults.swapped, others) == (0, [])


@pytest.mark.parametrize("frames", [1, 3, 15])
@pytest.mark.parametrize("place", [16, 20, 28])
def test_swap_of_left_and_right_is_undone(place: int, frames: int) -> None:
    joints = recorded.pixels(place)
    mixed = joints.copy()
    mixed[60 : 60 + frames] = joints[60 : 60 + frames][:, MIRROR]
    rows, _, _ = believed(mixed)
    left, done = (np.abs(px[60 : 60 + frames] - joints[60 : 60 + frames]).mean() for px in (rows, mixed))
    assert left < 0.02 * done
    np.testing.assert_array_equal(rows[:60], joints[:60])
    np.testing.assert_array_equal(rows[100:], joints[100:])


@pytest.mark.parametrize("percent", [1, 2])
def test_noise_of_a_detector_is_not_taken_for_swaps_or_jumps(percent: int) -> None:
    joints = recorded.pixels(28)  # from the side, where left and right lie together
    tall = np.median(np.ptp(joints[..., 1], axis=1))
    noise = np.random.default_rng(0).normal(0, percent / 100 * tall, joints.shape).astype(np.float32)
    _, faults, others = believed(joints + noise)
    assert faults.swapped <= 2  # of 1,800 pairs
    assert faults.jumped <= (0, 1)[percent - 1]  # of 5,100 joints
    assert others == []


def test_detector_that_insists_on_the_other_side_is_believed() -> None:
    joints = recorded.pixels(20)
    mixed = joints.copy()
    mixed[60:] = joints[60:][:, MIRROR]
    rows, _, _ = believed(mixed)
    np.testing.assert_array_equal(rows[100:], mixed[100:])


def test_joint_that_jumps_is_thrown_out_and_its_neighbours_stay() -> None:
    joints = recorded.pixels(20)
    wild = joints.copy()
    wild[60:63, 16] += 250
    rows, faults, _ = believed(wild)
    assert np.isnan(rows[60:63, 16]).all()
    assert faults.jumped == 3
    rows[60:63, 16] = joints[60:63, 16]
    np.testing.assert_array_equal(rows, joints)


def test_most_gross_errors_of_a_detector_are_thrown_out() -> None:
    random, found, thrown_out = np.random.default_rng(0), [], []
    for place in (16, 20, 28):
        joints = recorded.pixels(place).copy()
        tall, is_wild = np.median(np.ptp(joints[..., 1], axis=1)), np.zeros(joints.shape[:2], bool)
        for frame, joint in np.argwhere(random.uniform(size=joints.shape[:2]) < 0.02):
            angle, far, frames = random.uniform(0, 2 * np.pi), random.uniform(0.15, 0.6) * tall, random.integers(1, 4)
            joints[frame : frame + frames, joint] += far * np.array([np.cos(angle), np.sin(angle)], np.float32)
            is_wild[frame : frame + frames, joint] = True
        rows, _, _ = believed(joints)
        missing = np.isnan(rows[..., 0])
        found.append(missing[is_wild].mean())
        thrown_out.append(missing[~is_wild].mean())
    assert np.mean(found) > 0.8
    assert np.mean(thrown_out) < 0.02


def test_frame_in_which_all_joints_jump_is_thrown_out_whole() -> None:
    joints = recorded.pixels(20).copy()
    joints[60:62] += 300
    rows, _, others = believed(joints)
    assert np.isnan(rows[60:62]).all()
    assert not np.isnan(rows[62:]).any()
    assert others == []


def test_who_stays_elsewhere_is_somebody_else() -> None:
    joints = recorded.pixels(20).copy()
    joints[60:] += 300
    rows, _, others = believed(joints)
    assert others == [62]
    np.testing.assert_array_equal(rows[62:], joints[62:])
