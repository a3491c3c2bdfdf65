"""A lifter over a data set: the poses of every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from poseedge.arrays import FloatArray, IndexArray
from poseedge.data.keypoints import with_confidence
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.data.windows import mirror_joints, mirror_keypoints
from poseedge.evaluation.protocols import ONCE, Plan, Protocol, plan, settled
from poseedge.lifter import Lifter, LifterSpec
from poseedge.skeleton import JOINT_NAMES

RefinePoses = Callable[
    [PoseSequence, IndexArray, FloatArray], FloatArray
]  # sequence, frames (N,), lifted poses (N, 17, 3) -> better ones
CHUNK, CHUNK_FRAMES = 128, 3000  # windows lifted per call where the batch is free, and frames: MixSTE takes 1 MB for each


@dataclass(frozen=True)
class Prediction:
    """What a lifter made of one sequence: ``poses_m (n, 17, 3)`` of its frames ``frames (n,)``."""

    sequence: PoseSequence
    frames: IndexArray
    poses_m: FloatArray

    @property
    def target_m(self) -> FloatArray:
        """Ground truth of the same frames."""
        return self.sequence.relative_m[self.frames]


def predict(
    lifter: Lifter,
    dataset: PoseDataset,
    flip: bool = False,
    every: int = 1,
    advance: Callable[[int], None] = lambda _: None,
    protocol: Protocol = ONCE,
    refine: RefinePoses | None = None,
    whole: bool = False,
) -> list[Prediction]:
    """Lift every ``every``-th frame of each sequence, exactly once and with the root at zero unless ``protocol`` differs.

    ``flip`` averages with the un-mirrored result of the mirrored window, unless the lifter does so itself. ``refine`` changes the
    lifted poses before the root is settled. ``whole`` scores all frames of windows that must be lifted. ``advance`` is told how
    many frames were finished. A lifter that takes a confidence is told 1.0 of every keypoint.
    """
    predictions = []
    for sequence in dataset.sequences:
        work = plan(sequence, lifter.spec, protocol, every, whole)
        poses: FloatArray = np.empty((len(work.frames), len(JOINT_NAMES), 3), np.float32)
        for windows, slots, rows in window_batches(work, lifter.spec):
            keypoints = with_confidence(sequence.keypoints[windows], lifter.spec.channels)
            poses[rows] = lift_windows(lifter, keypoints, flip)[slots]
            advance(len(rows))
        if refine is not None:
            poses = refine(sequence, work.frames, poses)
        predictions.append(Prediction(sequence, work.frames, settled(poses, sequence, work.frames, protocol)))
    return predictions


def lift_windows(lifter: Lifter, keypoints: FloatArray, flip: bool) -> FloatArray:
    """Return the poses of windows; with ``flip`` those of the flip test, unless the lifter averages by itself."""
    poses: FloatArray = lifter(keypoints)
    if flip and lifter.spec.flip != "inside":
        poses = (poses + mirror_joints(lifter(mirror_keypoints(keypoints)))) / 2
    return poses


def window_batches(work: Plan, spec: LifterSpec) -> Iterator[tuple[IndexArray, tuple[IndexArray, IndexArray], IndexArray]]:
    """Yield the calls of a plan: windows to lift, (window, slot) to take of them, rows of the frames that these fill."""
    frames = spec.frames * (2 if spec.flip == "inside" else 1)
    chunk = min(CHUNK, max(CHUNK_FRAMES // frames, 1))
    for start in range(0, len(work.windows), chunk):
        rows = np.flatnonzero((work.where >= start) & (work.where < start + chunk))
        if len(rows):
            yield work.windows[start : start + chunk], (work.where[rows] - start, work.slots[rows]), rows
