"""The motion that artefacts are timed and tested on: real keypoints, the same for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from poseedge.arrays import Float32Array
from poseedge.data.keypoints import with_confidence
from poseedge.data.sources import open_dataset
from poseedge.data.types import PoseDataset
from poseedge.data.windows import centered
from poseedge.evaluation.overlap import default_every, gives_whole_window
from poseedge.lifter import LifterSpec
from poseedge.resources import SAMPLE_DATA, resource

MOST_FRAMES = 350  # of a motion; all of each in the bundled sample
LEAST_FRAMES = 30
MOST_FLOPS = 2.5e12  # of testing one artefact: half a minute to a minute on one core of a processor
MOST_MOTIONS = 8


def open_motion(folder: Path | None = None, keypoints: str = "gt") -> PoseDataset:
    """Return the test subjects' motions in ``folder``, by default the bundled sample, each as its first camera sees it.

    Of a large set, motions of all subjects alike are taken, eight in all.
    """
    dataset = open_dataset(folder or resource(*SAMPLE_DATA), keypoints)
    dataset = dataset.of(dataset.test) if dataset.test else dataset
    first = {(sequence.subject, sequence.action): sequence for sequence in reversed(dataset.sequences)}
    motions = list(first.values())[::-1]
    chosen = np.unique(np.linspace(0, len(motions) - 1, min(MOST_MOTIONS, len(motions))).astype(int))
    return replace(dataset, sequences=tuple(motions[place] for place in chosen))


def first_frames(dataset: PoseDataset, frames: int) -> PoseDataset:
    """Return the first ``frames`` frames of each motion."""
    part = slice(frames)
    return replace(
        dataset,
        sequences=tuple(
            replace(s, keypoints=s.keypoints[part], joints_m=s.joints_m[part], valid=None if s.valid is None else s.valid[part])
            for s in dataset.sequences
        ),
    )


def affordable_frames(dataset: PoseDataset, costs: Sequence[tuple[LifterSpec, int | None]]) -> int:
    """Return how many frames of each motion can be tested with networks of these FLOPs a window; the same for all of them."""
    lengths = [len(sequence) for sequence in dataset.sequences]
    for frames in (MOST_FRAMES, 300, 250, 200, 150, 120, 90, 60, 45):
        dearest = max((sum(windows(spec, min(frames, n)) for n in lengths) * (flops or 0) for spec, flops in costs), default=0)
        if dearest <= MOST_FLOPS:
            return frames
    return LEAST_FRAMES


def windows(spec: LifterSpec, frames: int) -> int:
    """Return how many windows a motion of ``frames`` frames takes where they overlap."""
    return frames if not gives_whole_window(spec) else max(frames - spec.frames, 0) // default_every(spec) + 2


def keypoint_windows(dataset: PoseDataset, spec: LifterSpec, batch: int) -> Float32Array:
    """Return ``(batch, T, 17, C)`` windows of real keypoints, spread evenly over all motions."""
    lengths = [len(sequence) for sequence in dataset.sequences]
    starts = np.cumsum([0, *lengths])
    taken = []
    for frame in ((np.arange(batch) + 0.5) / batch * starts[-1]).astype(int):
        number = int(np.searchsorted(starts, frame, side="right")) - 1
        rows = centered(lengths[number], spec.frames)[frame - starts[number]]
        taken.append(dataset.sequences[number].keypoints[rows])
    return np.ascontiguousarray(with_confidence(np.stack(taken), spec.channels), dtype=np.float32)
