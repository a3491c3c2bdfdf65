"""The metrics equal the published ones, and keep what they promise on any pose."""

from __future__ import annotations

import doctest
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseedge import metrics
from poseedge.arrays import FloatArray
from poseedge.data.cameras import rotate
from poseedge.errors import DataError
from tests.support import golden

FACTS, STORED = golden.case("metrics"), golden.arrays("metrics")
TOLERANCE = {"rtol": FACTS["rtol"], "atol": FACTS["atol"]}
CASES = ("far", "close", "mirror")
SCALARS: dict[str, Callable[[FloatArray, FloatArray], float]] = {
    "mpjpe": metrics.mpjpe,
    "p_mpjpe": metrics.p_mpjpe,
    "n_mpjpe": metrics.n_mpjpe,
    "pck150_percent": metrics.pck,
    "auc_percent": metrics.auc,
}
seeds = st.integers(0, 2**32 - 1)


def golden_poses(case: str) -> tuple[FloatArray, FloatArray]:
    return STORED[f"pred_{case}"].reshape(-1, 17, 3), STORED["target"].reshape(-1, 17, 3)


def random_poses(seed: int, frames: int = 6) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    target = rng.normal(0, 0.4, (frames, 17, 3))
    return target + rng.normal(0, 0.1, target.shape), target


def random_rotations(seed: int, count: int) -> FloatArray:
    quaternions = np.random.default_rng([seed, 1]).normal(size=(count, 1, 4))
    return quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)


def aligned_by_horn(pred: FloatArray, target: FloatArray) -> FloatArray:
    """One pose aligned by Horn's quaternion method (1987), which knows rotations only and needs no SVD."""
    p, t = pred - pred.mean(axis=0), target - target.mean(axis=0)
    s = p.T @ t
    skew = np.array([s[1, 2] - s[2, 1], s[2, 0] - s[0, 2], s[0, 1] - s[1, 0]])
    horn = np.block([[np.trace(s), skew[None]], [skew[:, None], s + s.T - np.trace(s) * np.eye(3)]])
    turned = rotate(np.linalg.eigh(horn)[1][:, -1], p)
    return np.asarray((turned * t).sum() / (p * p).sum() * turned + target.mean(axis=0))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SCALARS)
def test_scalars_equal_the_published_ones(name: str, case: str) -> None:
    np.testing.assert_allclose(SCALARS[name](*golden_poses(case)), FACTS["scalars"][f"{name}_{case}"], **TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_velocity_error_equals_the_published_one(case: str) -> None:
    found = [metrics.mpjve(pred, target) for pred, target in zip(STORED[f"pred_{case}"], STORED["target"], strict=True)]
    np.testing.assert_allclose(found, FACTS["scalars"][f"mpjve_per_sequence_{case}"], **TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_p_mpjpe_of_each_pose_equals_the_published_one(case: str) -> None:
    np.testing.assert_allclose(metrics.p_mpjpe_per_pose(*golden_poses(case)), STORED[f"p_mpjpe_per_pose_{case}"], **TOLERANCE)


def test_action_tables_equal_the_published_ones() -> None:
    pred, target = golden_poses("close")
    actions = [name.split(" ")[0] for name in FACTS["actions"]]
    per_pose = (metrics.joint_distances(pred, target).mean(axis=1), metrics.p_mpjpe_per_pose(pred, target))
    for column, values in enumerate(per_pose):
        table = {name: row[column] for name, row in FACTS["action_table_one_pose_per_batch"].items()}
        assert metrics.action_means(1000 * values, actions) == pytest.approx(table, rel=FACTS["rtol"])
        average = FACTS["action_mean_one_pose_per_batch"][column]
        assert metrics.action_average(1000 * values, actions) == pytest.approx(average, rel=FACTS["rtol"])


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_procrustes_alignment_equals_horns_method(seed: int) -> None:
    pred, target = random_poses(seed)
    expected = np.stack([aligned_by_horn(p, t) for p, t in zip(pred, target, strict=True)])
    np.testing.assert_allclose(metrics.procrustes_aligned(pred, target), expected, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.01, 100), st.floats(-10, 10))
def test_p_mpjpe_ignores_rotation_scale_and_shift(seed: int, scale: float, shift: float) -> None:
    pred, target = random_poses(seed)
    moved = scale * rotate(random_rotations(seed, len(pred)), pred) + shift
    np.testing.assert_allclose(metrics.p_mpjpe_per_pose(moved, target), metrics.p_mpjpe_per_pose(pred, target), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.01, 100))
def test_n_mpjpe_ignores_scale_alone(seed: int, scale: float) -> None:
    pred, target = random_poses(seed)
    assert metrics.n_mpjpe(scale * pred, target) == pytest.approx(metrics.n_mpjpe(pred, target))
    assert metrics.n_mpjpe(pred + 1, target) != pytest.approx(metrics.n_mpjpe(pred, target))


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_reflection_is_never_used(seed: int) -> None:
    _, target = random_poses(seed)
    reflected = target * [-1, 1, 1]
    assert metrics.p_mpjpe_per_pose(reflected, target).min() > 0.01
    turn = np.linalg.lstsq(reflected[0] - reflected[0].mean(0), metrics.procrustes_aligned(reflected, target)[0], rcond=None)[0]
    assert np.linalg.det(turn) > 0


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_alignment_never_enlarges_the_squared_error(seed: int) -> None:
    pred, target = random_poses(seed)
    before = (metrics.joint_distances(pred, target) ** 2).sum(axis=1)
    after = (metrics.joint_distances(metrics.procrustes_aligned(pred, target), target) ** 2).sum(axis=1)
    assert (after <= before).all()


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_simple_metrics_equal_the_plain_loops(seed: int) -> None:
    pred, target = random_poses(seed)
    distances = [
        [float(np.sqrt(((p - t) ** 2).sum())) for p, t in zip(*pair, strict=True)] for pair in zip(pred, target, strict=True)
    ]
    flat = [d for row in distances for d in row]
    steps = [
        float(np.sqrt((((pred[k + 1, j] - pred[k, j]) - (target[k + 1, j] - target[k, j])) ** 2).sum()))
        for k in range(len(pred) - 1)
        for j in range(17)
    ]
    bends = [np.linalg.norm(pred[k + 2] - 2 * pred[k + 1] + pred[k], axis=-1).mean() for k in range(len(pred) - 2)]
    np.testing.assert_allclose(metrics.joint_distances(pred, target), distances)
    assert metrics.mpjpe(pred, target) == pytest.approx(sum(flat) / len(flat))
    assert metrics.mpjve(pred, target) == pytest.approx(sum(steps) / len(steps))
    assert metrics.jitter(pred) == pytest.approx(np.mean(bends))
    assert metrics.pck(pred, target, 0.1) == pytest.approx(100 * sum(d < 0.1 for d in flat) / len(flat))
    assert metrics.auc(pred, target) == pytest.approx(np.mean([metrics.pck(pred, target, mm / 1000) for mm in range(150)]))


def test_pck_and_auc_count_strictly_nearer_joints() -> None:
    target = np.zeros((1, 4, 3))
    pred = target + np.array([0, 0.149, 0.150, 0.151])[:, None] * [1, 0, 0]
    assert metrics.pck(pred, target) == 50
    assert metrics.pck(target, target) == 100
    assert metrics.auc(target, target) == pytest.approx(100 * 149 / 150)  # nothing is nearer than 0 mm


def test_a_prediction_of_one_point_is_aligned_to_the_centre() -> None:
    _, target = random_poses(0)
    centred = np.broadcast_to(target.mean(axis=1, keepdims=True), target.shape)
    for point in (0.0, 0.1, 1e9):
        np.testing.assert_allclose(metrics.procrustes_aligned(np.full_like(target, point), target), centred)


def test_a_target_of_one_point_is_refused() -> None:
    pred, target = random_poses(0)
    target[3] = 0.1
    with pytest.raises(DataError, match="all joints of pose 3 coincide"):
        metrics.p_mpjpe(pred, target)


def test_n_mpjpe_of_a_zero_prediction_is_the_size_of_the_target() -> None:
    _, target = random_poses(0)
    assert metrics.n_mpjpe(np.zeros_like(target), target) == metrics.mpjpe(np.zeros_like(target), target)


@pytest.mark.parametrize("name", [*SCALARS, "mpjve"])
def test_bad_arrays_are_refused(name: str) -> None:
    metric = SCALARS.get(name, metrics.mpjve)
    pred, target = random_poses(0)
    with pytest.raises(DataError, match="differ in shape"):
        metric(pred[:, :16], target)
    with pytest.raises(DataError, match="differ in shape"):
        metric(pred[:1], target)
    with pytest.raises(DataError, match=r"pred: expected poses \(N, J, 3\), found \(6, 17, 2\)"):
        metric(pred[..., :2], target)
    with pytest.raises(DataError, match=r"found \(2, 3, 17, 3\)"):
        metric(pred.reshape(2, 3, 17, 3), target)
    with pytest.raises(DataError, match=r"found \(0, 17, 3\)"):
        metric(pred[:0], target[:0])
    target[4, 2, 1] = np.nan
    with pytest.raises(DataError, match="target: NaN or infinity in pose 4"):
        metric(pred, target)


def test_too_few_frames_for_a_difference_are_refused() -> None:
    pred, target = random_poses(0)
    with pytest.raises(DataError, match="a velocity needs 2 frames"):
        metrics.mpjve(pred[:1], target[:1])
    with pytest.raises(DataError, match="a second difference needs 3 frames"):
        metrics.jitter(pred[:2])


def test_every_value_needs_its_action() -> None:
    with pytest.raises(DataError, match="one action for each of 2 values, found 1"):
        metrics.action_means(np.ones(2), ["Walking"])


def test_float32_input_is_computed_in_float64() -> None:
    pred, target = (poses.astype(np.float32) for poses in random_poses(0, frames=1000))
    assert metrics.mpjpe(pred, target) == metrics.mpjpe(pred.astype(np.float64), target.astype(np.float64))


def test_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(metrics)
    assert results.attempted
    assert not results.failed
