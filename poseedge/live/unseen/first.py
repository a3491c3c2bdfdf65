"""The first sightings of a track are not believed because they come first: for half a second most of them decide."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from poseedge.live.types import Flags, Floats, Indices
from poseedge.skeleton import LEFT, NUM_JOINTS, RIGHT

TRIAL_S = 0.5
_ERROR = 3  # sightings that a gross error may last: a place with more is not doubted, which heavy noise would make worse
# Of the person's extent: how far two sightings of one place may be apart, and what a second between them adds.
_NEAR, _NEAR_PER_S = 0.08, 1.0
_LEFT, _RIGHT = np.array(LEFT), np.array(RIGHT)


class Correction(NamedTuple):
    """What was wrong in every frame of a track so far."""

    order: Indices  # (17,) whose place each joint had
    wrong: Flags  # (17,) joints that were not in that place either


class FirstSightings:
    """What one person's first sightings say of where joints are believed to be."""

    def __init__(self) -> None:
        self._px = np.empty((0, NUM_JOINTS, 2), np.float32)
        self._times = np.empty(0)
        self._straight, self._crossed = np.zeros((2, len(LEFT)), np.int64)  # frames in which pairs were, and were not, exchanged

    def are_over(self, time: float) -> bool:
        """Say whether a sighting at ``time`` is none of the first any more."""
        return len(self._times) > 0 and time - float(self._times[0]) > TRIAL_S

    def since_last_s(self, time: float) -> float:
        """Return the time from the last sighting to ``time``, at most a second."""
        return min(time - float(self._times[-1]), 1.0) if len(self._times) else 1.0

    def turned(self, seen: Flags, crossed: Flags) -> Flags:
        """Note which pairs ``(6,)`` are seen, and which of them look exchanged; return those that did so in most frames.

        For them what was believed so far, here too, is exchanged, and what is seen now is right.
        """
        self._straight += seen & ~crossed
        self._crossed += crossed
        turned = self._crossed > self._straight
        if turned.any():
            self._straight[turned], self._crossed[turned] = self._crossed[turned], self._straight[turned]
            self._px = self._px[:, exchanged(turned)]
        return turned

    def outvoted(self, px: Floats, time: float, believed: Floats, times: npt.NDArray[np.float64], size: float) -> Flags:
        """Note joints ``(17, 2)``; return which of them more sightings show there than where they are ``believed`` to be.

        ``times (17,)``: when they were seen there; ``size``: the person's extent in the picture.
        """
        self._px, self._times = np.concatenate([self._px, px[None]]), np.append(self._times, time)
        there = self._near(believed, times, size)
        return (there <= _ERROR) & (self._near(px, time, size) > there)

    def _near(self, px: Floats, times: float | npt.NDArray[np.float64], size: float) -> Indices:
        """Count, for each joint, the sightings near ``px (17, 2)``."""
        off = np.linalg.norm(self._px - px, axis=-1)  # NaN where there is none
        apart = np.minimum(np.abs(self._times[:, None] - times), 1)
        return np.asarray((off <= size * (_NEAR + _NEAR_PER_S * apart)).sum(axis=0))


def exchanged(pairs: Flags) -> Indices:
    """Return the order of joints ``(17,)`` in which those of ``pairs (6,)`` have exchanged their places."""
    order = np.arange(NUM_JOINTS)
    order[_LEFT[pairs]], order[_RIGHT[pairs]] = _RIGHT[pairs], _LEFT[pairs]
    return order
