"""Upright worlds and estimated places, held against recorded motion whose cameras are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from poseedge.arrays import Float64Array
from poseedge.data.cameras import camera_to_world, conjugate, denormalize_screen, rotate
from poseedge.data.types import PoseSequence
from poseedge.errors import DataError
from poseedge.live.trajectory import with_trajectory
from poseedge.live.types import Lifted
from poseedge.live.world import DEMO, FLOOR, estimated_pitch, in_demo, level, on_floor, y_up
from poseedge.skeleton import JOINT_NAMES
from tests.live.lifted_clips import clip, pixels, recorded, unseen

ANKLES = [JOINT_NAMES.index("left_ankle"), JOINT_NAMES.index("right_ankle")]


def sequence(action: str, camera: int = 0) -> PoseSequence:
    return next(s for s in recorded().sequences if s.name.startswith(action) and s.name.endswith(f"cam{camera}"))


def lifted(recording: PoseSequence) -> Lifted:
    """Return a whole recording as lifting would give it, with nothing wrong."""
    frames = len(recording)
    shape = replace(clip(frames=1), frames=np.arange(frames), times_s=np.arange(frames) / 50, seen=np.ones((1, frames), np.bool_))
    return replace(
        shape,
        poses_m=recording.relative_m[None].astype(np.float32),
        filled=np.zeros((1, frames, 17), np.bool_),
        keypoints_px=pixels(recording)[None],
        scores=np.ones((1, frames, 17), np.float32),
    )


def true_pitch(recording: PoseSequence) -> float:
    """Return by how many degrees the recording's camera looks down."""
    ahead = rotate(recording.camera.orientation.astype(np.float64), np.array([0.0, 0, 1]))
    return float(np.rad2deg(np.arcsin(-ahead[2])))


def upright_truth(recording: PoseSequence) -> Float64Array:
    """Return the height of every joint over the lowest of the clip, ``(T, 17)``, from the world of the recording."""
    world = camera_to_world(recording.joints_m.astype(np.float64), recording.camera)
    return np.asarray(world[..., 2] - world[:, :1, 2])


def test_level_undoes_pitch_and_roll() -> None:
    for pitch, roll in ((20, 0), (0, 30), (-15, 50), (40, -20)):
        turn = level(pitch, roll)
        down_in_camera = turn.T @ [0, 1, 0]
        right_in_camera = turn.T @ [1, 0, 0]
        assert down_in_camera[2] == pytest.approx(np.sin(np.deg2rad(pitch)))  # looking down, the floor lies ahead
        assert right_in_camera[2] == pytest.approx(0)
    assert (level(0, 30) @ [1, 0, 0])[1] > 0  # turned clockwise, the camera's right points down


@pytest.mark.parametrize("camera", range(4))
@pytest.mark.parametrize("action", ["S1/Walking", "S9/Walking", "S9/Punching", "S11/Sitting", "S11/Reaching"])
def test_pitch_is_estimated_from_upright_frames(action: str, camera: int) -> None:
    recording = sequence(action, camera)
    pitch, frames = estimated_pitch(lifted(recording))
    assert 5 < true_pitch(recording) < 8
    assert pitch == pytest.approx(true_pitch(recording), abs=5)
    assert 0 < frames <= 0.25 * len(recording)


def test_a_steep_camera_is_told_from_a_level_one() -> None:
    recording = sequence("S9/Walking")
    steep = replace(lifted(recording), poses_m=(lifted(recording).poses_m @ level(-30).T).astype(np.float32))
    assert estimated_pitch(steep)[0] == pytest.approx(estimated_pitch(lifted(recording))[0] + 30, abs=1e-3)


def test_given_pitch_stands_the_skeleton_upright() -> None:
    recording = sequence("S11/Sitting")
    found = on_floor(lifted(recording), pitch_deg=true_pitch(recording))
    heights = found.poses_m[0, ..., 1]
    np.testing.assert_allclose(heights - heights[:, :1], upright_truth(recording), atol=0.01)
    assert found.meta["axes"] == FLOOR
    assert found.meta["floor"] == {"pitch_from": "given", "roll_deg": 0.0, "pitch_deg": round(true_pitch(recording), 2)}


def test_given_roll_is_undone() -> None:
    recording = sequence("S9/Walking")
    rolled = replace(lifted(recording), poses_m=(lifted(recording).poses_m @ level(0, 25)).astype(np.float32))
    back = on_floor(rolled, pitch_deg=7, roll_deg=25)
    np.testing.assert_allclose(back.poses_m, on_floor(lifted(recording), pitch_deg=7).poses_m, atol=1e-5)
    assert estimated_pitch(lifted(recording))[0] == pytest.approx(
        on_floor(rolled, roll_deg=25).meta["floor"]["pitch_deg"], abs=0.01
    )


def test_floor_is_one_for_the_clip_and_not_one_per_frame() -> None:
    recording = sequence("S11/Sitting")
    found = on_floor(lifted(recording))
    lowest = found.poses_m[0, ..., 1].min(axis=1)
    assert np.percentile(lowest, 1) == pytest.approx(0, abs=1e-5)
    assert np.ptp(lowest) > 0.1  # sitting lifts the feet of a root-relative skeleton; it is not hidden
    pelvis = found.poses_m[0, :, 0, 1]
    assert np.ptp(pelvis) == pytest.approx(0, abs=1e-6)
    assert found.meta["floor"]["pitch_from"] == "upright frames"


def test_every_person_stands_on_the_floor_and_gaps_stay_gaps() -> None:
    given = unseen(clip(frames=100, people=2), 1, slice(10, 20))
    found = on_floor(given)
    assert np.isnan(found.poses_m[1, 10:20]).all()
    for person in range(2):
        assert np.nanmin(found.poses_m[person, ..., 1]) == pytest.approx(0, abs=0.02)


def lying(given: Lifted) -> Lifted:
    """Return the same people on their side."""
    return replace(given, poses_m=(given.poses_m @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])).astype(np.float32))


def crouching(given: Lifted) -> Lifted:
    """Return people whose ankles are beside their hips in all frames but the first."""
    poses = given.poses_m.copy()
    poses[:, :, ANKLES] = poses[:, :, [4, 1]]
    return replace(given, poses_m=poses)


@pytest.mark.parametrize("change", [lying, crouching])
def test_nobody_upright_asks_for_the_pitch(change: Any) -> None:
    with pytest.raises(DataError, match="nobody stands upright") as caught:
        on_floor(change(clip()))
    assert "--camera-pitch" in caught.value.hint
    on_floor(change(clip()), pitch_deg=7)


def test_demo_world_is_the_one_camera_of_the_demos() -> None:
    given = clip()
    found = in_demo(given)
    quaternion = np.array([0.1407056450843811, -0.1500701755285263, -0.755240797996521, 0.6223280429840088])
    expected = rotate(quaternion, given.poses_m.astype(np.float64))
    apart = found.poses_m - expected
    np.testing.assert_allclose(apart[..., :2], 0, atol=1e-6)
    assert np.ptp(apart[..., 2]) == pytest.approx(0, abs=1e-6)
    assert found.meta["axes"] == DEMO
    up = rotate(conjugate(quaternion), np.array([0, 0, 1.0]))
    assert up[1] < -0.9  # z up is up in the picture


def test_a_world_is_made_from_camera_axes_alone() -> None:
    for world in (on_floor, in_demo):
        with pytest.raises(DataError, match="should be in the camera's"):
            world(on_floor(clip()))


def test_floor_and_files_agree_on_what_is_up() -> None:
    found = on_floor(clip())
    np.testing.assert_array_equal(y_up(found).poses_m, found.poses_m)


def intrinsics(recording: PoseSequence) -> tuple[float, tuple[float, float]]:
    camera = recording.camera
    focal = float(camera.intrinsics[:2].mean()) * camera.width / 2
    centre = denormalize_screen(camera.intrinsics[2:4], camera.width, camera.height)
    return focal, (float(centre[0]), float(centre[1]))


@pytest.mark.parametrize("action", ["S9/Walking", "S9/Punching", "S11/Sitting"])
def test_true_poses_and_keypoints_give_the_true_trajectory(action: str) -> None:
    recording = sequence(action)
    found = with_trajectory(lifted(recording), *intrinsics(recording))
    off = np.linalg.norm(found.poses_m[0, 10:-10] - recording.joints_m[10:-10], axis=-1)
    assert off.mean() < 0.015  # distortion is left out, depth is smoothed
    assert np.linalg.norm(found.poses_m[0] - recording.joints_m, axis=-1).max() < 0.1
    assert found.meta["root"] == "estimated trajectory"


def test_trajectory_moves_bodies_and_leaves_poses_alone() -> None:
    recording = sequence("S9/Walking")
    found = with_trajectory(lifted(recording), *intrinsics(recording)).poses_m
    np.testing.assert_allclose(found - found[:, :, :1], lifted(recording).poses_m, atol=1e-6)


def test_noise_of_keypoints_shakes_depth_by_little() -> None:
    recording = sequence("S9/Punching")
    given = lifted(recording)
    noise = np.random.default_rng(0).normal(0, 5, given.keypoints_px.shape).astype(np.float32)
    found = with_trajectory(replace(given, keypoints_px=given.keypoints_px + noise), *intrinsics(recording)).poses_m[0, :, 0]
    truth = recording.joints_m[:, 0]
    assert np.abs(found - truth).mean() < 0.02
    assert np.abs(np.diff(found[:, 2], n=2)).mean() < 0.003


def test_filled_keypoints_have_little_say() -> None:
    recording = sequence("S9/Punching")
    given = lifted(recording)
    given.keypoints_px[0, :, 3] += 300
    wrong = with_trajectory(given, *intrinsics(recording)).poses_m[0, :, 0, 2]
    given.filled[0, :, 3] = True
    marked = with_trajectory(given, *intrinsics(recording)).poses_m[0, :, 0, 2]
    truth = recording.joints_m[:, 0, 2]
    assert np.abs(marked - truth).mean() < 0.4 * np.abs(wrong - truth).mean()


def test_a_gap_and_an_unknown_keypoint_do_no_harm() -> None:
    recording = sequence("S9/Walking")
    given = unseen(lifted(recording), 0, slice(40, 60))
    given.keypoints_px[0, 40:60] = np.nan
    given.keypoints_px[0, 70, 5] = np.nan
    found = with_trajectory(given, *intrinsics(recording)).poses_m[0]
    assert np.isnan(found[40:60]).all()
    assert np.linalg.norm(found[60:, 0] - recording.joints_m[60:, 0], axis=-1).max() < 0.1


def test_keypoints_in_one_point_are_an_error() -> None:
    given = clip(frames=3)
    given.keypoints_px[:] = 100
    with pytest.raises(DataError, match="person 1: the keypoints do not say"):
        with_trajectory(given, 1000, (500, 500))


def test_trajectory_on_a_floor_keeps_the_way_walked() -> None:
    recording = sequence("S9/Walking")
    found = on_floor(with_trajectory(lifted(recording), *intrinsics(recording)), pitch_deg=true_pitch(recording))
    world = camera_to_world(recording.joints_m.astype(np.float64), recording.camera)
    walked, truth = found.poses_m[0, :, 0], world[:, 0]
    assert np.linalg.norm(walked[-1] - walked[0]) == pytest.approx(np.linalg.norm(truth[-1] - truth[0]), rel=0.03)
    assert np.ptp(walked[:, 1] - truth[:, 2]) < 0.05
