"""Each frame's pose as the mean of what overlapping windows say of it, beside that of one window alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from poseedge import metrics
from poseedge.arrays import FloatArray, IndexArray
from poseedge.data.keypoints import with_confidence
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.evaluation.predict import CHUNK, CHUNK_FRAMES, Prediction, lift_windows, predict
from poseedge.evaluation.protocols import ONCE, settled
from poseedge.evaluation.results import OverlapCompared
from poseedge.evaluation.score import mean_jitter, millimetres
from poseedge.lifter import Lifter, LifterSpec
from poseedge.overlap import slot_weights
from poseedge.skeleton import NUM_JOINTS


def default_every(spec: LifterSpec) -> int:
    """Return the frames between windows that were measured to pay (docs/lift.md)."""
    return max(len(spec.output_frames) // 9, 1) if len(spec.output_frames) == spec.frames else 1


@dataclass(frozen=True)
class Overlapping:
    """What a lifter made of a data set, in two ways."""

    mean: list[Prediction]  # over all windows that show a frame, as ``poseedge lift`` does
    alone: list[Prediction]  # of the one window that ``predict`` takes
    every: int  # frames from one window to the next

    @property
    def jitter_mm(self) -> tuple[float, float] | None:
        """Jitter of the mean and of windows alone, millimetres per frame squared; None without three consecutive frames."""
        moving = any(len(p.frames) > 2 and p.sequence.counted.all() for p in self.mean)
        return (mean_jitter(self.mean), mean_jitter(self.alone)) if moving else None

    @property
    def compared(self) -> OverlapCompared:
        """What ``eval`` and ``bench`` say of it."""
        mean, alone = self.jitter_mm or (None, None)
        joints = np.concatenate([metrics.joint_distances(p.poses_m, p.target_m) for p in self.alone])
        return OverlapCompared(every=self.every, jitter_mm=mean, alone_jitter_mm=alone, alone_mpjpe_mm=millimetres(joints.mean()))


def predict_overlapping(
    lifter: Lifter,
    dataset: PoseDataset,
    flip: bool = False,
    every: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
    inside: bool = False,
) -> Overlapping:
    """Lift every frame of each sequence by windows that overlap, one every ``every`` frames, the root at zero.

    A window is run wherever one of its output slots shows a frame, its edges padded. A network that gives few frames tells
    the pose of a window alone in the same run; one that gives all of its window is run once more, as ``predict`` does. For such
    a one ``inside`` leaves out the windows that jut out of a sequence: a fifth of the work where that is little longer than they.
    """
    step = default_every(lifter.spec) if every is None else every
    whole = gives_whole_window(lifter.spec)
    means, alone = [], []
    for sequence in dataset.sequences:
        counted = np.flatnonzero(sequence.counted)
        firsts = window_starts(len(sequence), lifter.spec, step, inside and whole)
        mean, centre = _of_sequence(lifter, sequence, flip, firsts)
        advance(len(counted))
        means.append(_settled(mean, sequence, counted))
        if not whole and step == 1:
            alone.append(_settled(centre, sequence, counted))
    return Overlapping(means, alone or predict(lifter, dataset, flip), step)


def gives_whole_window(spec: LifterSpec) -> bool:
    """Say whether a network gives all frames of its window."""
    return len(spec.output_frames) == spec.frames > 1


def window_starts(length: int, spec: LifterSpec, step: int, inside: bool = False) -> IndexArray:
    """Return ``(W,)`` the frames of a sequence that windows begin at: before 0 where an output slot shows a frame all the same.

    ``inside``: such windows alone that lie in the sequence, or cover it.
    """
    if inside:
        last = max(length - spec.frames, 0)
        return np.unique([*range(0, last, step), last])
    firsts = np.arange(-max(spec.output_frames), length - min(spec.output_frames))
    return firsts[(firsts + spec.frames - 1) % step == 0]


def _of_sequence(lifter: Lifter, sequence: PoseSequence, flip: bool, firsts: IndexArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean poses of all frames ``(T, 17, 3)``, and those of the centre slot, NaN where no window has it there.

    ``firsts``: the frames that windows begin at.
    """
    spec, length = lifter.spec, len(sequence)
    shown, weights = np.array(spec.output_frames), slot_weights(len(spec.output_frames))
    total, weight = np.zeros((length, NUM_JOINTS, 3), np.float32), np.zeros((length, 1, 1), np.float32)
    centre = np.full((length, NUM_JOINTS, 3), np.nan, np.float32)
    chunk = min(CHUNK, max(CHUNK_FRAMES // spec.frames, 1))
    for start in range(0, len(firsts), chunk):
        some = firsts[start : start + chunk]
        windows = np.clip(some[:, None] + np.arange(spec.frames), 0, length - 1)
        poses = lift_windows(lifter, with_confidence(sequence.keypoints[windows], spec.channels), flip)
        for slot, row in enumerate(shown.tolist()):
            frames = some + row
            there = (frames >= 0) & (frames < length)
            total[frames[there]] += weights[slot] * poses[there, slot]
            weight[frames[there]] += weights[slot]
            if slot == spec.center_slot:
                centre[frames[there]] = poses[there, slot]
    return total / weight, centre


def _settled(poses: FloatArray, sequence: PoseSequence, frames: IndexArray) -> Prediction:
    return Prediction(sequence, frames, settled(poses[frames], sequence, frames, ONCE))
