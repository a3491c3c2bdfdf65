"""Poses become figures that stand on the floor, beside each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseedge.live.drawing import Arrangement, Figure, LiftedFigures, faint_joints
from poseedge.live.drawing.figures import Ground, place_of
from tests.live.drawing.people import STANDING, keypoints, lifted

SIZE = (800, 600)


def test_figure_is_upright_with_its_feet_on_the_floor() -> None:
    (figure,) = LiftedFigures(lifted(), SIZE).at(0, 0.0)
    assert figure.pose_m is not None
    assert figure.pose_m[:, 1].min() == pytest.approx(0.08)  # an ankle's height
    assert figure.pose_m[10, 1] == pytest.approx(1.7)
    np.testing.assert_allclose(figure.pose_m[0, [0, 2]], 0, atol=1e-6)


def test_axes_of_the_poses_make_no_difference() -> None:
    on_floor = lifted().poses_m * np.array([1, -1, -1], np.float32) + np.array([0.3, 0.98, 0], np.float32)
    (figure,) = LiftedFigures(replace(lifted(), poses_m=on_floor, meta={"axes": "floor"}), SIZE).at(0, 0.0)
    (same,) = LiftedFigures(lifted(), SIZE).at(0, 0.0)
    assert figure.pose_m is not None
    assert same.pose_m is not None
    np.testing.assert_allclose(figure.pose_m, same.pose_m, atol=1e-6)


def test_feet_stay_on_the_floor_in_a_squat_and_leave_it_in_a_jump() -> None:
    squat = STANDING.copy()
    squat[[2, 5], 1], squat[[3, 6], 1] = -0.2, -0.4
    ground = Ground()
    assert ground.under(STANDING, 0.0) == pytest.approx(0.98)
    for frame in range(1, 60):
        height = ground.under(squat, frame / 30)
    assert height == pytest.approx(0.48, abs=0.01)
    flight = Ground()
    flight.under(STANDING, 0.0)
    assert flight.under(squat, 0.1) > 0.8  # legs drawn in for a tenth of a second: the body does not fall


def test_nobody_ever_stands_in_the_floor() -> None:
    random, ground = np.random.default_rng(1), Ground()
    for frame in range(200):
        pose = STANDING + random.normal(0, 0.1, (17, 3)).astype(np.float32)
        height = ground.under(pose, frame / 30)
        assert (pose - pose[0])[:, 1].min() + height >= 0.08 - 1e-6


def test_two_people_stand_on_the_sides_where_they_are_seen_and_one_in_the_middle() -> None:
    one, other = LiftedFigures(lifted(people=2), SIZE).at(0, 0.0)
    assert one.pose_m is not None
    assert other.pose_m is not None
    assert other.pose_m[0, 0] - one.pose_m[0, 0] > 0.5


def test_person_left_alone_comes_to_the_middle_without_a_jump() -> None:
    poses = lifted(frames=90, people=2)
    poses.seen[1, 30:] = False
    figures = LiftedFigures(poses, SIZE)
    across = [float(figure.pose_m[0, 0]) for n in range(90) for figure in figures.at(n, n / 30)[:1] if figure.pose_m is not None]
    assert across[29] < -0.5
    assert np.abs(np.diff(across)).max() < 0.1
    assert across[-1] == pytest.approx(0, abs=0.02)


def test_person_who_follows_another_stands_in_the_middle_at_once() -> None:
    poses = lifted(frames=4, people=2)
    poses.seen[0, 2:] = poses.seen[1, :2] = False
    figures = LiftedFigures(poses, SIZE)
    across = [float(figure.pose_m[0, 0]) for n in range(4) for figure in figures.at(n, n / 30) if figure.pose_m is not None]
    np.testing.assert_allclose(across, np.zeros(4), atol=1e-6)


def test_people_far_apart_are_drawn_nearer_in_proportion() -> None:
    poses = lifted(people=3)
    poses.keypoints_px[:, :, :, 0] += np.array([-2000, 0, 2000])[:, None, None]
    places = [float(f.pose_m[0, 0]) for f in LiftedFigures(poses, SIZE).at(0, 0.0) if f.pose_m is not None]
    assert max(map(abs, places)) == pytest.approx(1.3, abs=0.01)
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.01)


def test_person_who_is_half_as_large_stands_twice_as_far_away() -> None:
    near = place_of(STANDING, keypoints((400, 300)), SIZE)
    far = place_of(STANDING, keypoints((400, 300), scale=0.5), SIZE)
    assert far[2] == pytest.approx(2 * near[2])
    assert near[2] < 0  # away from the camera
    assert place_of(STANDING, keypoints((600, 300)), SIZE)[0] == pytest.approx(200 / 200)  # pixels over pixels per metre


def test_frames_without_a_pose_have_no_figure() -> None:
    poses = lifted(frames=3)
    poses.seen[0, 1] = False
    figures = LiftedFigures(poses, SIZE)
    assert [len(figures.at(frame, frame / 30)) for frame in (-1, 0, 1, 2, 3)] == [0, 1, 0, 1, 0]


def test_person_without_a_pose_keeps_its_keypoints() -> None:
    unposed = Figure(1, None, keypoints((400, 300)), np.zeros(17, bool))
    assert Arrangement(SIZE).put([unposed], 0.0) == [unposed]
    posed = replace(unposed, id=2, pose_m=STANDING)
    assert Arrangement(SIZE).put([unposed, posed], 0.0)[0] is unposed


def test_filled_and_unsure_joints_are_faint() -> None:
    filled, scores = np.zeros(17, bool), np.ones(17, np.float32)
    filled[2], scores[5] = True, 0.1
    assert np.flatnonzero(faint_joints(filled, scores)).tolist() == [2, 5]
