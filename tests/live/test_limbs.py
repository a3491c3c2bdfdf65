"""The rig of rigid limbs: it reaches the joints, keeps its lengths, and turns without jumps."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.arrays import Float64Array
from poseedge.data.bvh import about
from poseedge.data.cameras import rotate
from poseedge.live.rig.limbs import REST_DIRECTIONS, RIG, LimbFit, Limbs, fit_limbs, rest_offset
from poseedge.live.rig.rotations import euler_deg, quaternions
from poseedge.skeleton import JOINT_NAMES, PARENTS
from tests.live.lifted_clips import recorded

SEQUENCES = recorded().sequences[::4]


def upright(number: int) -> Float64Array:
    return SEQUENCES[number].relative_m.astype(np.float64) * [1, -1, -1]


def wobbling(number: int = 0) -> Float64Array:
    """Return recorded motion whose limbs change their length, as a lifter's do: noise of 10 mm, 0.1 s long."""
    poses = upright(number)
    noise = np.random.default_rng(number).normal(size=poses.shape)
    smooth = np.stack([np.convolve(column, np.ones(5) / 5, "same") for column in noise.reshape(len(poses), -1).T], axis=1)
    smooth = smooth.reshape(poses.shape) * 0.01 / smooth.std()
    smooth[:, 0] = 0
    return poses + smooth


def forward_kinematics(limbs: Limbs) -> Float64Array:
    """Return the joints that lengths and rotations say."""
    frames = len(limbs.root_m)
    turns: list[Float64Array] = []
    places: list[Float64Array] = []
    joints = np.zeros((frames, 17, 3))
    for number, node in enumerate(RIG):
        parent_turn = turns[node.parent] if turns else np.tile(np.eye(3), (frames, 1, 1))
        offset = np.broadcast_to(rest_offset(node, limbs.lengths_m), (frames, 3))
        places.append(places[node.parent] + np.einsum("tij,tj->ti", parent_turn, offset) if places else limbs.root_m)
        turns.append(parent_turn @ limbs.turns(number))
        joints[:, node.joint] = places[-1]
    return joints


def lengths(joints: Float64Array) -> Float64Array:
    return np.asarray(np.linalg.norm(joints - joints[:, PARENTS], axis=-1)[:, 1:])


@pytest.mark.parametrize("number", range(len(SEQUENCES)), ids=lambda number: SEQUENCES[number].name.replace("/", " "))
def test_rig_reaches_a_recorded_skeleton_whose_limbs_are_rigid(number: int) -> None:
    poses = upright(number)
    limbs = fit_limbs(poses, np.ones(len(poses), np.bool_), 50)
    np.testing.assert_allclose(forward_kinematics(limbs), poses, atol=3e-4)
    assert limbs.distance_mm[1] < 0.3


@pytest.mark.parametrize("fixed", [True, False])
def test_rotations_and_lengths_give_the_joints_that_are_said(fixed: bool) -> None:
    poses = wobbling()
    limbs = fit_limbs(poses, np.ones(len(poses), np.bool_), 50, fixed=fixed)
    np.testing.assert_allclose(forward_kinematics(limbs), limbs.joints_m, atol=1e-12)


def test_limbs_have_the_median_length_in_every_frame() -> None:
    poses = wobbling()
    limbs = fit_limbs(poses, np.ones(len(poses), np.bool_), 50)
    np.testing.assert_allclose(lengths(limbs.joints_m), np.tile(np.median(lengths(poses), axis=0), (len(poses), 1)), atol=1e-12)
    assert lengths(poses).std(axis=0).min() > 0.003


def test_distance_is_that_between_rig_and_lifted_joints() -> None:
    poses = wobbling()
    limbs = fit_limbs(poses, np.ones(len(poses), np.bool_), 50)
    off = np.linalg.norm(forward_kinematics(limbs) - poses, axis=-1) * 1000
    assert limbs.distance_mm == pytest.approx((off.mean(), np.percentile(off, 99)))
    assert 3 < limbs.distance_mm[0] < 17  # the noise is 17 mm long, and the part along a limb is lost


def test_errors_of_length_do_not_add_up_along_a_limb() -> None:
    poses = wobbling()
    limbs = fit_limbs(poses, np.ones(len(poses), np.bool_), 50)
    chained = poses.copy()
    for joint in range(1, 17):
        way = poses[:, joint] - poses[:, PARENTS[joint]]
        chained[:, joint] = chained[:, PARENTS[joint]] + limbs.lengths_m[joint] * way / np.linalg.norm(
            way, axis=-1, keepdims=True
        )
    wrist = JOINT_NAMES.index("right_wrist")
    apart = [np.linalg.norm(joints - poses, axis=-1)[:, wrist].mean() for joints in (limbs.joints_m, chained)]
    assert apart[0] < 0.8 * apart[1]


def test_limbs_that_may_stretch_reach_every_joint() -> None:
    poses = wobbling()
    limbs = fit_limbs(poses, np.ones(len(poses), np.bool_), 50, fixed=False)
    np.testing.assert_allclose(forward_kinematics(limbs), poses, atol=1e-12)


def test_frames_not_seen_count_neither_for_lengths_nor_for_distance() -> None:
    poses, seen = upright(0), np.ones(125, np.bool_)
    poses[50:] *= 2
    seen[50:] = False
    limbs = fit_limbs(poses, seen, 50)
    np.testing.assert_allclose(limbs.lengths_m[1:], lengths(upright(0))[0], atol=2e-4)
    assert limbs.distance_mm[1] < 0.3


def test_rest_pose_needs_no_rotation() -> None:
    pose = np.zeros((1, 17, 3))
    for joint in range(1, 17):
        pose[0, joint] = pose[0, PARENTS[joint]] + 0.25 * REST_DIRECTIONS[joint]
    limbs = fit_limbs(pose, np.ones(1, np.bool_), 50)
    np.testing.assert_allclose(limbs.quaternions, np.tile([1.0, 0, 0, 0], (len(RIG), 1, 1)), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limb", "middle", "end"), [("RightUpLeg", 2, 3), ("LeftUpLeg", 5, 6), ("LeftArm", 12, 13), ("RightArm", 15, 16)]
)
def test_knees_and_elbows_bend_about_one_axis(limb: str, middle: int, end: int) -> None:
    """A bent limb turns about its hinge alone, however the upper limb points."""
    hinge = np.array({"RightUpLeg": [1, 0, 0], "LeftUpLeg": [1, 0, 0], "LeftArm": [0, -1, 0], "RightArm": [0, 1, 0]}[limb])
    pose = np.zeros((1, 17, 3))
    for joint in range(1, 17):
        pose[0, joint] = pose[0, PARENTS[joint]] + 0.25 * REST_DIRECTIONS[joint]
    rng = np.random.default_rng(0)
    for _ in range(20):
        turn = about(2, rng.uniform(-1, 1, 1))[0] @ about(1, rng.uniform(-1, 1, 1))[0] @ about(0, rng.uniform(-1, 1, 1))[0]
        way = REST_DIRECTIONS[middle]
        bent = np.cross(hinge, way) * np.sin(1.5) + way * np.cos(1.5)
        pose[0, middle] = pose[0, PARENTS[middle]] + 0.25 * turn @ way
        pose[0, end] = pose[0, middle] + 0.25 * turn @ bent
        limbs = fit_limbs(pose, np.ones(1, np.bool_), 50)
        number = [node.name for node in RIG].index(limb) + 1
        scalar, *vector = limbs.quaternions[number, 0] * np.sign(limbs.quaternions[number, 0, 0])
        axis = np.array(vector) / np.linalg.norm(vector)
        assert 2 * np.arccos(scalar) == pytest.approx(1.5)
        assert np.dot(axis, hinge) > np.cos(np.deg2rad(12))  # the rest pose's own plane has a say, a tenth


def test_a_limb_that_points_backwards_still_reaches_its_joint() -> None:
    pose = np.zeros((1, 17, 3))
    for joint in range(1, 17):
        pose[0, joint] = pose[0, PARENTS[joint]] - 0.25 * REST_DIRECTIONS[joint]
    limbs = fit_limbs(pose, np.ones(1, np.bool_), 50)
    np.testing.assert_allclose(forward_kinematics(limbs), pose, atol=1e-9)


def test_joints_in_one_place_give_a_rig_and_not_nan() -> None:
    limbs = fit_limbs(np.zeros((3, 17, 3)), np.ones(3, np.bool_), 50)
    assert np.isfinite(limbs.quaternions).all()


def test_rotations_do_not_jump() -> None:
    poses = upright(3)
    limbs = fit_limbs(poses, np.ones(len(poses), np.bool_), 50)
    cosine = np.abs((limbs.quaternions[:, 1:] * limbs.quaternions[:, :-1]).sum(axis=-1))
    assert np.rad2deg(2 * np.arccos(np.clip(cosine, 0, 1))).max() < 40  # a frame of a fast punch
    assert ((limbs.quaternions[:, 1:] * limbs.quaternions[:, :-1]).sum(axis=-1) > 0).all()


def random_turns(count: int) -> Float64Array:
    angles = np.random.default_rng(1).uniform(-np.pi, np.pi, (3, count))
    return about(2, angles[0]) @ about(0, angles[1]) @ about(1, angles[2])


def test_quaternions_are_the_rotations() -> None:
    turns = np.concatenate([random_turns(500), np.eye(3)[None], np.diag([1.0, -1, -1])[None], np.diag([-1.0, -1, 1])[None]])
    found = quaternions(turns)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose(rotate(found[:, None], np.eye(3)).swapaxes(1, 2), turns, atol=1e-12)


@pytest.mark.parametrize("order", ["ZXY", "ZYX", "YXZ", "XYZ", "XZY", "YZX"])
def test_angles_in_their_order_are_the_rotations(order: str) -> None:
    turns = random_turns(500)
    angles = np.deg2rad(euler_deg(turns, order)).T
    product = about("XYZ".index(order[0]), angles[0])
    for axis, angle in zip(order[1:], angles[1:], strict=True):
        product = product @ about("XYZ".index(axis), angle)
    np.testing.assert_allclose(product, turns, atol=1e-9)


def test_angles_run_on_through_a_full_turn_and_over_the_top() -> None:
    way = np.linspace(0, 4 * np.pi, 200)
    for axis, order in ((2, "ZXY"), (0, "ZXY"), (1, "ZXY")):
        steps = np.abs(np.diff(euler_deg(about(axis, way), order), axis=0)).max()
        assert steps == pytest.approx(np.rad2deg(way[1]), rel=1e-6)


@pytest.mark.parametrize("frames", [1, 40, 124])
@pytest.mark.parametrize("fixed", [True, False])
def test_blocks_of_any_length_give_the_motion_of_the_whole(frames: int, fixed: bool) -> None:
    poses, seen = wobbling(), np.ones(125, np.bool_)
    seen[30:50] = False
    whole = fit_limbs(poses, seen, 50, fixed)
    fit = LimbFit(lambda start, stop: poses[start:stop], seen, 50, fixed)
    blocks = list(fit.blocks(frames))
    for name, axis in (("root_m", 0), ("joints_m", 0), ("quaternions", 1)):
        found = np.concatenate([getattr(block, name) for block in blocks], axis=axis)
        np.testing.assert_allclose(found, getattr(whole, name), rtol=0, atol=1e-12)
    assert fit.distance_mm == pytest.approx(whole.distance_mm)


@pytest.mark.parametrize("order", ["ZXY", "XYZ"])
def test_angles_run_on_from_one_block_to_the_next(order: str) -> None:
    ways = np.linspace(0, 5 * np.pi, 200)
    turns = about(0, ways) @ about(1, 1.2 * ways) @ about(2, np.sin(ways))
    whole, before, found = euler_deg(turns, order), None, []
    for start in range(0, 200, 7):
        found.append(euler_deg(turns[start : start + 7], order, before))
        before = found[-1][-1]
    np.testing.assert_allclose(np.concatenate(found), whole, rtol=0, atol=1e-9)
    assert np.abs(whole).max() > 360
