"""Cut sequences into windows, and mirror poses."""

from __future__ import annotations

import math

import numpy as np

from poseedge.arrays import FloatArray, IndexArray
from poseedge.skeleton import MIRROR


def centered(length: int, frames: int, shown: int | None = None) -> IndexArray:
    """seq2frame: one window per frame, ``(length, frames)`` indices, the edge frames repeated where it overhangs.

    The window's frame ``shown``, by default its centre, stands on the frame.
    """
    offsets = np.arange(frames) - ((frames - 1) // 2 if shown is None else shown)
    return np.clip(np.arange(length)[:, None] + offsets, 0, length - 1)


def strided(length: int, frames: int, stride: int) -> IndexArray:
    """seq2seq as HoT cuts it: ``ceil((T - F) / stride + 1)`` windows, the overhang split between both ends."""
    count = max(math.ceil((length - frames) / stride + 1), 0)
    first = -((((count - 1) * stride + frames) - length) // 2)
    starts = first + stride * np.arange(count)
    return np.clip(starts[:, None] + np.arange(frames), 0, length - 1)


def tail_aligned(length: int, frames: int) -> IndexArray:
    """seq2seq as MixSTE tests: consecutive windows, the last one ending with the sequence; short ones pad right."""
    starts = list(range(0, max(length - frames, 0) + 1, frames))
    if length > frames and starts[-1] + frames < length:
        starts.append(length - frames)
    return np.minimum(np.array(starts)[:, None] + np.arange(frames), length - 1)


def mirror_keypoints(keypoints: FloatArray) -> FloatArray:
    """Mirror ``(..., 17, C)`` screen coordinates: u negated, left and right exchanged; further channels kept."""
    return _mirror(keypoints)


def mirror_joints(joints_m: FloatArray) -> FloatArray:
    """Mirror ``(..., 17, 3)`` camera-space joints: x negated, left and right exchanged."""
    return _mirror(joints_m)


def _mirror(points: FloatArray) -> FloatArray:
    mirrored = points[..., MIRROR, :]
    mirrored[..., 0] *= -1
    return mirrored
