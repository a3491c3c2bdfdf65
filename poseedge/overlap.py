"""The mean of what overlapping windows say of each frame."""

from typing import Any

import numpy as np


def slot_weights(slots: int) -> Any:
    """Return the weights of a window's output slots: the centre counts most."""
    places = np.arange(slots)
    return np.minimum(places + 1, slots - places).astype(np.float32)


class Mean:
    """The weighted mean of what windows say of each frame, for frames in order: poses with the root, joint 0, at zero."""

    def __init__(self, frames: int, shown: Any, weights: Any, keep_first: bool = False) -> None:
        """Windows of ``frames`` rows, whose slots show the rows ``shown`` and count as ``weights``.

        ``keep_first``: a frame keeps what it was given first.
        """
        self._keep_first = keep_first
        self._slots = np.flatnonzero(weights)
        self._shown, self._counts = shown[self._slots], weights[self._slots, None, None]
        self._weights = np.repeat(np.repeat(self._counts, 17, axis=1), 3, axis=2)  # as large as poses: no time is lost in fitting
        self._weights[:, 0] = 0
        self._first_slot, self._first_row, count = int(self._slots[0]), int(self._shown[0]), len(self._slots)
        is_run = self._shown.tolist() == list(range(self._first_row, self._first_row + count))
        self._run = 0 if keep_first or not is_run else count  # slots that show rows one after another
        room = 2 * frames
        self._sum = np.zeros((room, 17, 3), np.float32)
        self._count = np.zeros((room, 1, 1), np.float32)
        self._base = self._next = 0  # frame of row 0, and the next that is taken

    def add(self, poses: Any, first: int, last: int) -> None:
        """Add a window's poses ``(n, 17, 3)``; its row 0 is frame ``first``, and frames after ``last`` are padding."""
        if last - self._base >= len(self._sum):
            self._forget()
        if self._run:  # the same as below, in half the time
            begin = self._first_row + first
            low, high = max(self._next - begin, 0), min(last + 1 - begin, self._run)
            if low < high:
                row, slot = begin - self._base, self._first_slot
                total, count = self._sum[row + low : row + high], self._count[row + low : row + high]
                if high - low == len(poses):  # slices take as long as sums
                    total += self._weights * poses
                    count += self._counts
                else:
                    total += self._weights[low:high] * poses[slot + low : slot + high]
                    count += self._counts[low:high]
            return
        kept = slice(*np.searchsorted(self._shown, (self._next - first, last + 1 - first)).tolist())
        places, rows = np.arange(len(self._slots))[kept], self._shown[kept] + (first - self._base)
        if self._keep_first:
            new = self._count[rows, 0, 0] == 0
            places, rows = places[new], rows[new]
        self._sum[rows] += self._weights[places] * poses[self._slots[places]]
        self._count[rows] += self._counts[places]

    def take(self, last: int) -> Any:
        """Return the poses ``(n, 17, 3)`` of the frames up to ``last`` that were not taken before."""
        rows = slice(self._next - self._base, last + 1 - self._base)
        self._next = last + 1
        return self._sum[rows] / self._count[rows]

    def _forget(self) -> None:
        """Make room: drop the rows of frames that were taken."""
        done = self._next - self._base
        for rows in (self._sum, self._count):
            rows[: len(rows) - done] = rows[done:].copy()
            rows[len(rows) - done :] = 0
        self._base = self._next
