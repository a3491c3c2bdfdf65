"""Accuracy is measured as ``eval`` and ``lift`` would give the poses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from poseedge.bench.accuracy import LiftedMotions, accuracy, clip_of, overlapping, overlapping_windows, posed
from poseedge.bench.motion import first_frames, open_motion
from poseedge.data.types import PoseDataset
from poseedge.device.runner.overlap import slot_weights
from poseedge.evaluation.predict import Prediction, predict
from poseedge.evaluation.score import mean_jitter, score
from poseedge.lifter import LifterSpec
from tests.support.linear_lifter import LinearLifter


@pytest.fixture(scope="module")
def motion() -> PoseDataset:
    return first_frames(open_motion(), 60)


def moved(lifted: LiftedMotions, by_m: Any) -> LiftedMotions:
    """Return the same with joints moved, the root left at zero."""

    def shift(side: list[Prediction]) -> list[Prediction]:
        return [replace(p, poses_m=np.concatenate([p.poses_m[:, :1], p.poses_m[:, 1:] + by_m(len(p.frames))], 1)) for p in side]

    return LiftedMotions("moved", shift(lifted.single), shift(lifted.overlapping))


def test_one_pose_a_frame_is_what_eval_scores(motion: PoseDataset) -> None:
    lifter = LinearLifter()
    found = accuracy(posed(lifter, motion, "this"), None, motion)
    assert found.mpjpe_mm == pytest.approx(score(predict(lifter, motion)).mpjpe_mm)
    assert found.jitter_mm == pytest.approx(mean_jitter(predict(lifter, motion)))
    assert found.frames == 240
    assert (found.reference, found.delta_mpjpe_mm, found.jitter_ratio, found.distance) == (None, None, None, None)


@pytest.mark.parametrize("frames_and_shown", [(27, tuple(range(9, 18))), (27, tuple(range(27))), (9, (4,)), (9, (8,))])
def test_overlap_is_the_weighted_mean_of_all_windows_that_show_a_frame(
    motion: PoseDataset, frames_and_shown: tuple[int, tuple[int, ...]]
) -> None:
    lifter, sequence = LinearLifter(*frames_and_shown, context=0.3), motion.sequences[0]
    found = overlapping(lifter, sequence).poses_m
    weights, length = slot_weights(len(lifter.spec.output_frames)), len(sequence)
    for frame in (0, 3, 30, length - 1):
        votes, sum_of_weights = np.zeros((17, 3)), 0.0
        for window in overlapping_windows(length, lifter.spec):
            poses = lifter(sequence.keypoints[np.clip(window, 0, length - 1)][None])[0]
            for slot, shown in enumerate(lifter.spec.output_frames):
                if window[shown] == frame:
                    votes, sum_of_weights = votes + weights[slot] * poses[slot], sum_of_weights + weights[slot]
        wanted = votes / sum_of_weights
        wanted[0] = 0
        np.testing.assert_allclose(found[frame], wanted, atol=1e-5)


def test_windows_of_a_network_that_gives_them_whole_cover_every_frame_a_ninth_apart() -> None:
    spec = LifterSpec("whole", 27, tuple(range(27)), "fp32", None)
    found = overlapping_windows(60, spec)
    assert {frame for window in found.tolist() for frame in window} == set(range(60))
    assert set(np.diff(found[:, 0])) == {3}
    assert overlapping_windows(10, spec).shape == (1, 27)


def test_shift_of_all_joints_is_a_distance_and_no_jitter(motion: PoseDataset) -> None:
    this = posed(LinearLifter(), motion, "reference")
    found = accuracy(moved(this, lambda n: np.array([0.003, 0.0, 0.004])), this, motion)
    assert found.reference == "reference"
    assert found.distance is not None
    assert found.distance.mean == pytest.approx(5.0, rel=1e-3)
    assert found.jitter_ratio == pytest.approx(1.0, rel=1e-3)
    assert found.overlap_jitter_ratio == pytest.approx(1.0, rel=1e-3)


def test_trembling_joints_are_jitter(motion: PoseDataset) -> None:
    this = posed(LinearLifter(), motion, "reference")

    def tremble(frames: int) -> Any:
        return 0.01 * (np.arange(frames) % 2)[:, None, None]

    found = accuracy(moved(this, tremble), this, motion)
    assert found.jitter_ratio is not None
    assert found.jitter_ratio > 1.5
    assert found.overlap_jitter_ratio is not None
    assert found.overlap_jitter_ratio > 1.5


def test_overlap_takes_the_jitter_of_slots_that_disagree_away(motion: PoseDataset) -> None:
    found = accuracy(posed(LinearLifter(27, tuple(range(27)), context=0.5), motion, "this"), None, motion)
    assert found.jitter_mm is not None
    assert found.overlap_jitter_mm is not None
    assert found.overlap_jitter_mm < 0.7 * found.jitter_mm


def test_artefact_is_at_no_distance_from_itself(motion: PoseDataset) -> None:
    this = posed(LinearLifter(), motion, "this")
    found = accuracy(this, this, motion)
    assert (found.delta_mpjpe_mm, found.delta_overlap_mpjpe_mm, found.jitter_ratio) == (0, 0, 1)
    assert found.distance is not None
    assert found.distance.max == 0


def test_clip_is_the_liveliest_motion_of_all_artefacts(motion: PoseDataset) -> None:
    this = posed(LinearLifter(), motion, "this")
    clip = clip_of({0: this, 1: moved(this, lambda n: 0.001)}, {0: 0, 1: 0}, motion)
    speeds = {s.name: float(np.abs(np.diff(s.relative_m, axis=0)).mean()) for s in motion.sequences}
    assert clip.name == max(speeds, key=lambda name: speeds[name])
    assert clip.truth_m.shape == clip.poses_m[0].shape == clip.poses_m[1].shape == (60, 17, 3)
