"""Accuracy is measured as ``eval`` and ``lift`` would give the poses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from poseedge.bench.accuracy import LiftedMotions, accuracy, clip_of, posed
from poseedge.bench.motion import first_frames, open_motion
from poseedge.data.types import PoseDataset
from poseedge.evaluation.predict import Prediction, predict
from poseedge.evaluation.score import mean_jitter, score
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
