"""Every frame is scored exactly once, and the figures are those of a few lines of numpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.arrays import Float32Array, Float64Array
from poseedge.backends.registry import load
from poseedge.data.h36m import load_dataset
from poseedge.errors import DataError
from poseedge.evaluation.parity import parity
from poseedge.evaluation.predict import Prediction, predict, window_batches
from poseedge.evaluation.protocols import plan
from poseedge.evaluation.results import Distance, Limits
from poseedge.evaluation.score import mean_jitter, score
from poseedge.lifter import LifterSpec
from poseedge.skeleton import JOINT_NAMES, LEFT, RIGHT
from tests.support.echo import CAUSAL, MINI_TEST, SEQ2FRAME, SEQ2SEQ, SINGLE, Echo, Lopsided, dataset, numbers


@pytest.mark.parametrize("spec", [SEQ2FRAME, SEQ2SEQ, SINGLE, CAUSAL], ids=["seq2frame", "seq2seq", "single", "causal"])
@pytest.mark.parametrize("length", [1, 5, 9, 10, 300])
@pytest.mark.parametrize("every", [1, 4])
def test_every_frame_is_predicted_once_from_its_own_keypoints(spec: LifterSpec, length: int, every: int) -> None:
    (prediction,) = predict(Echo(spec), dataset(length), every=every)
    assert numbers(prediction) == prediction.frames.tolist() == list(range(0, length, every))


def test_seq2frame_network_sees_each_frame_in_the_centre_of_its_window() -> None:
    lifter = Echo(SEQ2FRAME)
    predict(lifter, dataset(20))
    assert np.concatenate(lifter.seen)[:, 4, 1, 0].tolist() == list(range(20))


def test_causal_network_sees_each_frame_at_the_end_of_its_window() -> None:
    lifter = Echo(CAUSAL)
    predict(lifter, dataset(20))
    assert np.concatenate(lifter.seen)[12, :, 1, 0].tolist() == list(range(4, 13))


def test_seq2seq_network_is_run_once_for_every_window_and_not_for_every_frame() -> None:
    lifter = Echo(SEQ2SEQ)
    predict(lifter, dataset(27))
    assert sum(map(len, lifter.seen)) == 3


def test_windows_that_hold_no_scored_frame_are_not_lifted() -> None:
    lifter = Echo(SEQ2SEQ)
    (prediction,) = predict(lifter, dataset(300), every=100)
    assert numbers(prediction) == prediction.frames.tolist() == [0, 100, 200]
    assert sum(map(len, lifter.seen)) == 3


def test_all_frames_of_the_lifted_windows_can_be_scored() -> None:
    lifter = Echo(SEQ2SEQ)
    (prediction,) = predict(lifter, dataset(301), every=100, whole=True)
    assert numbers(prediction) == prediction.frames.tolist() == [*range(9), *range(99, 108), *range(198, 207), *range(297, 301)]
    assert sum(map(len, lifter.seen)) == 4


def test_long_sequences_are_lifted_in_parts() -> None:
    lifter = Echo(SEQ2FRAME)
    predict(lifter, dataset(300))
    assert [len(part) for part in lifter.seen] == [128, 128, 44]


def test_plan_fills_every_row_once() -> None:
    rows = np.concatenate([rows for _, _, rows in window_batches(plan(dataset(300).sequences[0], SEQ2SEQ), SEQ2SEQ)])
    assert sorted(rows.tolist()) == list(range(300))


def test_root_is_set_to_zero() -> None:
    (prediction,) = predict(Echo(SEQ2FRAME), dataset(5))
    assert not prediction.poses_m[:, 0].any()


def test_target_is_the_root_relative_pose_of_the_same_frames() -> None:
    (prediction,) = predict(Echo(SEQ2FRAME), dataset(10), every=3)
    joints = prediction.sequence.joints_m[::3]
    np.testing.assert_array_equal(prediction.target_m, joints - joints[:, :1])


def test_progress_counts_every_frame() -> None:
    done: list[int] = []
    predict(Echo(SEQ2SEQ), dataset(10, 25), advance=done.append)
    assert sum(done) == 35


def test_flip_averages_with_the_mirrored_pass() -> None:
    lifter = Lopsided(SEQ2FRAME)
    data = dataset(6)
    (found,) = predict(lifter, data, flip=True)
    padded = np.pad(data.sequences[0].keypoints, ((4, 4), (0, 0), (0, 0)), mode="edge")
    for frame, pose in enumerate(found.poses_m):
        window = padded[frame : frame + 9]
        back = swapped(lifter(swapped(window)[None])[0, 1])
        wanted = (lifter(window[None])[0, 1] + back) / 2
        np.testing.assert_allclose(pose[1:], wanted[1:], atol=1e-6)


def swapped(points: Float32Array) -> Float32Array:
    """Mirror by hand: first coordinate negated, left and right exchanged."""
    mirrored = points.copy()
    mirrored[..., list(LEFT), :], mirrored[..., list(RIGHT), :] = points[..., list(RIGHT), :], points[..., list(LEFT), :]
    mirrored[..., 0] *= -1
    return mirrored


# Scores


@pytest.fixture(scope="module")
def predictions() -> list[Prediction]:
    return predict(Echo(SEQ2FRAME), dataset(30, 10, 20))


def errors_mm(predictions: list[Prediction]) -> Float64Array:
    """Return ``(N, 17)`` distances to the ground truth, by hand."""
    parts = []
    for p in predictions:
        joints = p.sequence.joints_m[p.frames].astype(np.float64)
        parts.append(1000 * np.sqrt(((p.poses_m - (joints - joints[:, :1])) ** 2).sum(-1)))
    return np.concatenate(parts)


def test_mpjpe_is_the_mean_over_all_frames_and_joints(predictions: list[Prediction]) -> None:
    assert score(predictions).mpjpe_mm == pytest.approx(errors_mm(predictions).mean(), abs=1e-3)


def test_joints_are_scored_by_name(predictions: list[Prediction]) -> None:
    wanted = dict(zip(JOINT_NAMES, errors_mm(predictions).mean(axis=0), strict=True))
    assert score(predictions).by_joint_mm == pytest.approx(wanted, abs=1e-3)


def test_takes_of_an_action_are_scored_together(predictions: list[Prediction]) -> None:
    errors = errors_mm(predictions)
    found = score(predictions).by_action
    assert {name: row.frames for name, row in found.items()} == {"Act0": 50, "Act1": 10}
    assert found["Act1"].mpjpe_mm == pytest.approx(errors[30:40].mean(), abs=1e-3)


def test_action_mean_weighs_actions_alike(predictions: list[Prediction]) -> None:
    errors = errors_mm(predictions)
    by_action = [np.concatenate([errors[:30], errors[40:]]).mean(), errors[30:40].mean()]
    assert score(predictions).action_mean_mpjpe_mm == pytest.approx(np.mean(by_action), abs=1e-3)


def test_velocity_error_is_never_taken_across_sequences(predictions: list[Prediction]) -> None:
    steps = []
    for p in predictions:
        velocity = np.diff(p.poses_m.astype(np.float64), axis=0) - np.diff(p.target_m.astype(np.float64), axis=0)
        steps.append(1000 * np.sqrt((velocity**2).sum(-1)).mean(axis=1))
    assert score(predictions).mpjve_mm == pytest.approx(np.concatenate(steps).mean(), abs=1e-3)


def test_exact_poses_have_no_error() -> None:
    exact = [Prediction(s, np.arange(len(s)), s.relative_m) for s in MINI_TEST.sequences]
    found = score(exact)
    assert found.mpjpe_mm == 0
    assert found.p_mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert found.mpjve_mm == 0


def test_velocity_needs_every_frame() -> None:
    assert score(predict(Echo(SEQ2FRAME), dataset(30), every=2), every=2).mpjve_mm is None


def test_single_frames_have_no_velocity() -> None:
    assert score(predict(Echo(SINGLE), dataset(1, 1))).mpjve_mm is None


# Parity


def limits(delta: float, mean: float, p99: float, jitter_ratio: float | None = None) -> Limits:
    return Limits(delta_mpjpe_mm=delta, mean_mm=mean, p99_mm=p99, jitter_ratio=jitter_ratio)


def moved(predictions: list[Prediction], by_m: Any) -> list[Prediction]:
    return [replace(p, poses_m=p.poses_m + np.asarray(by_m, np.float32)) for p in predictions]


def test_parity_of_a_lifter_with_itself_is_zero(predictions: list[Prediction]) -> None:
    found = parity(predictions, predictions)
    assert found.delta_mpjpe_mm == 0
    assert found.jitter_mm is not None
    assert found.distance_mm == Distance(mean=0, p99=0, max=0)
    assert found.jitter_mm.this == found.jitter_mm.against


def test_distance_is_that_of_the_joints_that_are_not_the_root(predictions: list[Prediction]) -> None:
    step = np.zeros((17, 3))
    step[1:] = [0.003, 0, 0.004]
    found = parity(moved(predictions, step), predictions)
    assert dict(found.distance_mm) == pytest.approx({"mean": 5, "p99": 5, "max": 5}, abs=1e-3)
    assert found.by_joint_mm == pytest.approx({"pelvis": 0} | dict.fromkeys(JOINT_NAMES[1:], 5), abs=1e-3)


def test_distances_are_those_of_numpy(predictions: list[Prediction]) -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, (17, 3))
    other = moved(predictions, noise)
    lengths = np.concatenate(
        [
            1000 * np.sqrt(((a.poses_m.astype(np.float64) - b.poses_m)[:, 1:] ** 2).sum(-1)).ravel()
            for a, b in zip(other, predictions, strict=True)
        ]
    )
    wanted = {"mean": lengths.mean(), "p99": np.percentile(lengths, 99), "max": lengths.max()}
    assert dict(parity(other, predictions).distance_mm) == pytest.approx(wanted, abs=1e-3)


def test_change_is_this_minus_the_other(predictions: list[Prediction]) -> None:
    exact = [replace(p, poses_m=p.target_m) for p in predictions]
    found = parity(predictions, exact)
    assert found.mpjpe_mm == 0
    assert found.delta_mpjpe_mm == pytest.approx(score(predictions).mpjpe_mm)


def test_jitter_is_the_mean_second_difference_within_sequences(predictions: list[Prediction]) -> None:
    lengths = [1000 * np.sqrt((np.diff(p.poses_m[:, 1:].astype(np.float64), 2, axis=0) ** 2).sum(-1)) for p in predictions]
    assert mean_jitter(predictions) == pytest.approx(np.concatenate(lengths).mean(), abs=1e-3)


def test_jitter_needs_every_frame() -> None:
    found = predict(Echo(SEQ2FRAME), dataset(30), every=2)
    assert parity(found, found, every=2).jitter_mm is None


def test_sequences_of_two_frames_have_no_jitter() -> None:
    found = predict(Echo(SEQ2FRAME), dataset(2, 2))
    assert parity(found, found).jitter_mm is None


def test_without_limits_there_is_no_verdict(predictions: list[Prediction]) -> None:
    found = parity(predictions, predictions)
    assert (found.limits, found.passed) == (None, None)


def test_within_its_limits_parity_passes(predictions: list[Prediction]) -> None:
    found = parity(predictions, predictions, limits(0.1, 1, 2))
    assert found.model_dump()["limits"] == {"delta_mpjpe_mm": 0.1, "mean_mm": 1, "p99_mm": 2}
    assert found.passed is True


@pytest.mark.parametrize("strict", [limits(1e-6, 99, 99), limits(99, 4.9, 99), limits(99, 99, 4.9)], ids=["MPJPE", "mean", "p99"])
def test_each_limit_is_held(predictions: list[Prediction], strict: Limits) -> None:
    other = moved(predictions, [0.003, 0, 0.004])
    assert parity(other, predictions, limits(99, 99, 99)).passed is True
    assert parity(other, predictions, strict).passed is False


def test_jitter_is_held_to_a_multiple_of_the_other_s(predictions: list[Prediction]) -> None:
    rng = np.random.default_rng(0)
    shaken = [replace(p, poses_m=p.poses_m + rng.normal(0, 1, p.poses_m.shape)) for p in predictions]
    found = parity(shaken, predictions)
    assert found.jitter_mm is not None
    ratio = found.jitter_mm.this / found.jitter_mm.against
    assert ratio > 1.01
    assert parity(shaken, predictions, limits(1e6, 1e6, 1e6, ratio * 1.01)).passed is True
    strict = parity(shaken, predictions, limits(1e6, 1e6, 1e6, ratio * 0.99))
    assert (strict.passed, strict.limits) == (False, limits(1e6, 1e6, 1e6, ratio * 0.99))


def test_jitter_limit_is_left_out_where_frames_are_skipped(predictions: list[Prediction]) -> None:
    assert parity(predictions, predictions, limits(99, 99, 99, 1e-9), every=2).passed is True


def test_a_smaller_error_counts_as_a_change_too(predictions: list[Prediction]) -> None:
    exact = [replace(p, poses_m=p.target_m) for p in predictions]
    assert parity(exact, predictions, limits(0.1, 1e6, 1e6)).passed is False


def test_result_that_is_not_finite_is_an_error(predictions: list[Prediction]) -> None:
    with pytest.raises(DataError, match="NaN or infinity"):
        score(moved(predictions, np.nan))


def test_small_bundle_evaluates_as_its_checkpoint_does(small_bundle: Path, export_inputs: Path) -> None:
    data = load_dataset(export_inputs / "data").of(["S9"])
    graph, network = (predict(load(path), data) for path in (small_bundle, export_inputs / "small.pth"))
    assert parity(graph, network).distance_mm.max < 0.1
