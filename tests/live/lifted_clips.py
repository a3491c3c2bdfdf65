"""Lifted poses to write: recorded motion in the axes of its camera, with what real clips have (gaps, several people)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.arrays import Float32Array
from poseedge.data.cameras import denormalize_screen
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.live.types import Lifted
from poseedge.live.world import CAMERA

MOTION = Path(__file__).parents[2] / "calib_data" / "mocap17-mini"


@cache
def recorded() -> PoseDataset:
    return load_dataset(MOTION)


def clip(frames: int = 60, people: int = 1, fps: float | None = None) -> Lifted:
    """Return the first frames of ``people`` recorded sequences, their true joints relative to the root."""
    sequences = [recorded().sequences[4 * person] for person in range(people)]  # four cameras see each motion
    rate = fps or recorded().fps
    return Lifted(
        poses_m=np.stack([sequence.relative_m[:frames] for sequence in sequences]).astype(np.float32),
        frames=np.arange(frames, dtype=np.int64),
        times_s=np.arange(frames) / rate,
        ids=np.arange(1, people + 1, dtype=np.int64),
        seen=np.ones((people, frames), np.bool_),
        filled=np.zeros((people, frames, 17), np.bool_),
        keypoints_px=np.stack([pixels(sequence)[:frames] for sequence in sequences]),
        scores=np.ones((people, frames, 17), np.float32),
        meta={"source": "mocap17-mini", "fps": rate, "axes": CAMERA},
    )


def pixels(sequence: PoseSequence) -> Float32Array:
    found: Any = denormalize_screen(sequence.keypoints, sequence.camera.width, sequence.camera.height)
    return np.asarray(found, np.float32)


def unseen(lifted: Lifted, person: int, frames: slice) -> Lifted:
    """Return ``lifted`` where one person is not seen in ``frames``."""
    poses, seen = lifted.poses_m.copy(), lifted.seen.copy()
    poses[person, frames], seen[person, frames] = np.nan, False
    return replace(lifted, poses_m=poses, seen=seen)
