"""Lifters that remember: a frame in, a pose out, and what each layer has read kept in caches from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from poseedge.arrays import AnyArray, Float32Array
from poseedge.errors import DataError
from poseedge.lifter import Lifter, check_poses
from poseedge.skeleton import NUM_JOINTS

# Names of a streaming graph's inputs beside the keypoints; an output of the same name with NEXT holds what the next frame needs.
PAST = "keypoints_before"  # frames that the first layer has read
CACHE = "cache_"  # and the layer's number: features
NEXT = "_next"

Size = tuple[int, int]  # rows, of which the last is the newest, and columns


@runtime_checkable
class CachedLifter(Lifter, Protocol):
    """A lifter whose graph takes one frame; ``spec`` is that of the windows whose poses it gives.

    Called with windows, as any lifter, it runs all frames of each: that is for comparisons. ``begin`` is what it is for.
    """

    @property
    def caches(self) -> Mapping[str, Size]:
        """What is remembered, by name, in the order of ``step``."""

    def begin(self) -> Memory:
        """Return a memory of nothing yet, for one person in one view."""

    def step(self, keypoints: Float32Array, caches: Sequence[Float32Array]) -> tuple[Float32Array, list[Float32Array]]:
        """Take a frame ``(1, 1, 17, C)``; return the pose ``(1, 1, 17, 3)`` and the caches for the next one."""


class Memory:
    """What a cached lifter knows of one person. Not for several threads at a time; the lifter itself may be shared."""

    def __init__(self, lifter: CachedLifter) -> None:
        self._lifter = lifter
        self._caches: list[Float32Array] = []

    def push(self, keypoints: AnyArray) -> Float32Array:
        """Take the next frame ``(17, C)``, normalized screen coordinates; return a pose ``(17, 3)``, metres.

        The pose is that of the window which this frame ends, so of ``spec.look_ahead`` frames ago. Before the first frame stand
        copies of it. Raises ``DataError`` for another shape, and for NaN and infinity.
        """
        spec, row = self._lifter.spec, np.asarray(keypoints, np.float32)
        if row.shape != (NUM_JOINTS, spec.channels) or not np.isfinite(row).all():
            told = row.shape if row.shape != (NUM_JOINTS, spec.channels) else "NaN or infinity"
            raise DataError(f"{spec.model} takes a frame ({NUM_JOINTS}, {spec.channels}), found {told}", "one person's keypoints")
        row = np.ascontiguousarray(row[None, None])
        if not self._caches:
            self._caches = self._standing_still(row)
        pose, self._caches = self._lifter.step(row, self._caches)
        return check_poses(pose, spec, self._lifter.path)[0, 0]

    def _standing_still(self, row: Float32Array) -> list[Float32Array]:
        """Return the caches of a person who has stood as in ``row`` for ever.

        Every layer then reads the same features in all frames. A step computes the first layer's from the keypoints alone, the
        next step the second's from those, and so on.
        """
        caches = [np.zeros(size, np.float32) for size in self._lifter.caches.values()]
        for _ in caches:
            _, after = self._lifter.step(row, caches)
            caches = [np.repeat(cache[-1:], len(cache), axis=0) for cache in after]
        return caches


def lift_windows(lifter: CachedLifter, windows: Float32Array) -> Float32Array:
    """Return the poses ``(B, 1, 17, 3)`` of windows ``(B, T, 17, C)``, frame by frame."""
    poses = np.empty((len(windows), 1, NUM_JOINTS, 3), np.float32)
    for window, pose in zip(windows, poses, strict=True):
        memory = lifter.begin()
        for row in window:
            pose[0] = memory.push(row)
    return poses
