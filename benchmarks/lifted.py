"""What the measurements of lifting share: test sequences as clips, lifted as the product does it, and their errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseedge import metrics
from poseedge.arrays import FloatArray
from poseedge.data.cameras import denormalize_screen
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseSequence
from poseedge.lifter import Lifter
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.trained import TrainedOn
from poseedge.live.types import Clip, Lifted, Track
from poseedge.skeleton import ROOT


@dataclass(frozen=True)
class Score:
    """Errors over all frames that got a pose, millimetres, by which share of the frames that is."""

    mpjpe: float
    n_mpjpe: float
    p_mpjpe: float
    mpjve: float  # per frame
    jitter: float  # per frame squared
    frames: int
    share: float


def test_sequences(data: Path, keypoints: str, every: int) -> list[PoseSequence]:
    """Return every ``every``-th test clip, seen by its four cameras in turn."""
    dataset = load_dataset(data, keypoints)
    by_clip: dict[tuple[str, str], list[PoseSequence]] = {}
    for sequence in dataset.of(dataset.test).sequences:
        by_clip.setdefault((sequence.subject, sequence.action), []).append(sequence)
    return [views[number % len(views)] for number, views in enumerate(list(by_clip.values())[::every])]


def as_clip(pixels: FloatArray, size: tuple[int, int], layout: str = "h36m17", fps: float = 50.0) -> Clip:
    """Return keypoints ``(T, K, 2)`` of one person as a clip; a frame without any is absent."""
    frames = np.flatnonzero(np.isfinite(pixels).any(axis=(1, 2)))
    rows = pixels[frames].astype(np.float32)
    track = Track(1, frames, rows, np.ones(rows.shape[:2], np.float32))
    return Clip("test", layout, (track,), np.arange(len(pixels)), size, fps)


def recorded(sequence: PoseSequence) -> Clip:
    """Return a sequence as its camera recorded it."""
    size = sequence.camera.width, sequence.camera.height
    return as_clip(denormalize_screen(sequence.keypoints.astype(np.float64), *size), size)


def score(pairs: Iterable[tuple[Lifted, FloatArray]]) -> Score:
    """Return the errors of lifted clips of one person against their true poses ``(T, 17, 3)``, metres, in camera axes."""
    poses, truths, velocities, jitters, frames = [], [], [0.0], [0.0], 0
    for lifted, truth in pairs:
        seen = lifted.seen[0]
        pose, true = lifted.poses_m[0][seen].astype(np.float64), truth[seen]
        frames += len(truth)
        poses.append(pose)
        truths.append(true)
        if len(pose) > 2:
            velocities.append(metrics.mpjve(pose, true) * len(pose))
            jitters.append(metrics.jitter(np.delete(pose, ROOT, axis=1)) * len(pose))
    pose, true = np.concatenate(poses), np.concatenate(truths)
    return Score(
        mpjpe=1000 * metrics.mpjpe(pose, true),
        n_mpjpe=1000 * metrics.n_mpjpe(pose, true),
        p_mpjpe=1000 * metrics.p_mpjpe(pose, true),
        mpjve=1000 * sum(velocities) / len(pose),
        jitter=1000 * sum(jitters) / len(pose),
        frames=len(pose),
        share=len(pose) / frames,
    )


def lifted(lifter: Lifter, sequences: list[PoseSequence], options: LiftOptions, trained: TrainedOn) -> Score:
    """Return the errors on recorded sequences."""
    return score((lift_clip(lifter, recorded(each), options, trained), each.relative_m) for each in sequences)
