"""One person's windows through a lifter that remembers: of each window only the frames that the last one did not have."""

from __future__ import annotations

import numpy as np

from poseedge.caches import CachedLifter, Memory
from poseedge.data.windows import mirror_joints, mirror_keypoints
from poseedge.live.types import Floats


class Remembered:
    """What a cached lifter knows of a span.

    Frames stay as they were when they came in. So a gap that closes later, and a view that has moved on, change those to come
    and not, as with windows, those before.
    """

    def __init__(self, lifter: CachedLifter, flip: bool) -> None:
        self._plain, self._mirrored = lifter.begin(), lifter.begin() if flip else None
        self._frames = lifter.spec.frames
        self._first: int | None = None  # frame of the last window's row 0

    def lift(self, window: Floats, first: int) -> Floats:
        """Return the pose ``(1, 17, 3)`` of a window ``(T, 17, C)`` whose row 0 is frame ``first``, later than the last one's."""
        if self._first is None:  # copies of the first row are what a memory begins with
            moves = np.flatnonzero((window != window[0]).any(axis=(1, 2)))
            rows = window[moves[0] - 1 if len(moves) else -1 :]
        else:
            rows = window[-min(first - self._first, self._frames) :]
        self._first = first
        pose = pushed(self._plain, rows)
        if self._mirrored is not None:
            mirrored = mirror_joints(pushed(self._mirrored, mirror_keypoints(rows)))
            pose = np.asarray((pose + mirrored) / 2, np.float32)
        return pose


def pushed(memory: Memory, rows: Floats) -> Floats:
    """Return the pose ``(1, 17, 3)`` behind the last of ``rows``."""
    return [memory.push(row) for row in rows][-1][None]
