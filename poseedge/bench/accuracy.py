"""What artefacts' poses are worth: errors, distance from a reference, jitter; of one pose a frame, and with overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poseedge import metrics
from poseedge.arrays import FloatArray
from poseedge.bench.results import Accuracy, PoseDistance
from poseedge.caches import CachedLifter
from poseedge.data.keypoints import with_confidence
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.evaluation.overlap import predict_overlapping
from poseedge.evaluation.parity import parity
from poseedge.evaluation.predict import Prediction, predict
from poseedge.evaluation.protocols import ONCE, settled
from poseedge.evaluation.score import mean_jitter
from poseedge.lifter import Lifter


@dataclass(frozen=True)
class LiftedMotions:
    """What one artefact made of the motions: one pose a frame, and the mean of overlapping windows."""

    name: str
    single: list[Prediction]
    overlapping: list[Prediction]


def posed(lifter: Lifter, dataset: PoseDataset, name: str) -> LiftedMotions:
    """Lift all motions both ways; a lifter that remembers is given them frame by frame."""
    if isinstance(lifter, CachedLifter):
        streams = [streamed(lifter, sequence) for sequence in dataset.sequences]
        return LiftedMotions(name, streams, streams)
    if len(lifter.spec.output_frames) == 1:
        single = predict(lifter, dataset)
        return LiftedMotions(name, single, single)
    both = predict_overlapping(lifter, dataset, inside=True)
    return LiftedMotions(name, both.alone, both.mean)


def streamed(lifter: CachedLifter, sequence: PoseSequence) -> Prediction:
    """Return what a lifter that remembers makes of a motion; its last frame is repeated until all poses are out."""
    memory, late = lifter.begin(), lifter.spec.look_ahead
    frames = with_confidence(sequence.keypoints, lifter.spec.channels)
    poses = np.stack([memory.push(frame) for frame in (*frames, *[frames[-1]] * late)])[late:]
    counted = np.flatnonzero(sequence.counted)
    return Prediction(sequence, counted, settled(poses[counted], sequence, counted, ONCE))


def accuracy(this: LiftedMotions, reference: LiftedMotions | None, dataset: PoseDataset) -> Accuracy:
    """Return what ``this`` is worth, against the truth and against ``reference``."""
    moving = any(len(p.frames) > 2 and p.sequence.counted.all() for p in this.single)
    shaking = [mean_jitter(side) if moving else None for side in (this.single, this.overlapping)]
    error, overlap_error = mpjpe_mm(this.single), mpjpe_mm(this.overlapping)
    between = parity(this.single, reference.single) if reference else None
    theirs = (
        [mean_jitter(side) if moving else None for side in (reference.single, reference.overlapping)] if reference else [None] * 2
    )
    return Accuracy(
        dataset=dataset.name,
        keypoints=dataset.keypoints,
        frames=sum(len(p.frames) for p in this.single),
        reference=reference.name if reference else None,
        mpjpe_mm=error,
        delta_mpjpe_mm=between.delta_mpjpe_mm if between else None,
        overlap_mpjpe_mm=overlap_error,
        delta_overlap_mpjpe_mm=overlap_error - mpjpe_mm(reference.overlapping) if reference else None,
        jitter_mm=shaking[0],
        overlap_jitter_mm=shaking[1],
        true_jitter_mm=mean_jitter([as_truth(p) for p in this.single]) if moving else None,
        jitter_ratio=quotient(shaking[0], theirs[0]),
        overlap_jitter_ratio=quotient(shaking[1], theirs[1]),
        distance=PoseDistance(**dict(between.distance_mm)) if between else None,
        by_joint_mm=between.by_joint_mm if between else None,
    )


def mpjpe_mm(predictions: list[Prediction]) -> float:
    """Return the mean error over all frames alike, millimetres."""
    return 1000 * float(np.concatenate([metrics.joint_distances(p.poses_m, p.target_m) for p in predictions]).mean())


def as_truth(prediction: Prediction) -> Prediction:
    """Return the true poses of the same frames."""
    return Prediction(prediction.sequence, prediction.frames, prediction.target_m)


def quotient(this: float | None, other: float | None) -> float | None:
    return None if this is None or not other else this / other


@dataclass(frozen=True)
class PosedClip:
    """A few seconds of one motion as several artefacts lift it, windows overlapping: ``(T, 17, 3)`` metres each."""

    name: str
    fps: float
    truth_m: FloatArray
    poses_m: dict[int, FloatArray]  # by the row's place in the report
    references: dict[int, int | None]  # the row that each is compared with


CLIP_FRAMES = 150


def clip_of(everything: dict[int, LiftedMotions], references: dict[int, int | None], dataset: PoseDataset) -> PosedClip:
    """Return the first frames of the motion whose joints move most."""
    speed = [float(np.abs(np.diff(s.relative_m[:CLIP_FRAMES], axis=0)).mean()) if len(s) > 1 else 0 for s in dataset.sequences]
    place = int(np.argmax(speed))
    sequence = dataset.sequences[place]
    poses = {row: each.overlapping[place].poses_m[:CLIP_FRAMES] for row, each in everything.items()}
    frames = everything[0].overlapping[place].frames[:CLIP_FRAMES]
    return PosedClip(sequence.name, dataset.fps, sequence.relative_m[frames], poses, references)
