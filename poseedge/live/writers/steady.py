"""One person at one constant frame rate, as formats that hold no time stamps need it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from poseedge.arrays import BoolArray, Float64Array
from poseedge.live.types import Floats, Indices, Lifted

_FPS_OF_ONE_FRAME = 30.0  # of a single frame whose source has no rate: the file must name one
_AS_IT_IS = np.eye(3)
_TOLERANCE = 0.1  # of a frame: time stamps rounded to milliseconds are still regular


@dataclass(frozen=True)
class PersonMotion:
    """One person over the whole clip, or from the first to the last frame in which they were seen.

    Poses are made when they are asked for: those of hours take more memory than the arrays that they come from.
    """

    seen: BoolArray  # (N,)
    times_s: Float64Array  # (N,)
    fps: float
    resampled: bool
    _poses: Floats  # (T, 17, 3) as lifted
    _turn: Float64Array  # (3, 3) from its axes to those wanted
    _place: Places  # where each frame lies among these

    def rows(self, start: int, stop: int) -> Float64Array:
        """Return poses ``(n, 17, 3)`` of frames ``start`` to ``stop``; one without the person holds the last."""
        part = slice(start, stop)
        left, right, share = self._place.left[part], self._place.right[part], self._place.share[part, None, None]
        one = self._turned(left)
        return one if not self.resampled else (1 - share) * one + share * self._turned(right)

    @property
    def poses_m(self) -> Float64Array:
        """All poses."""
        return self.rows(0, len(self.seen))

    def _turned(self, which: Indices) -> Float64Array:
        return (self._poses[which] @ self._turn.T).astype(np.float32).astype(np.float64)


class Places(NamedTuple):
    """Between which two frames of a clip each of N lies, and how near to the second."""

    left: Indices
    right: Indices
    share: Float64Array


def clip_motion(lifted: Lifted, person: int, turn: Float64Array = _AS_IT_IS) -> PersonMotion:
    """Return the motion of one person over the whole clip at its own times; the rate is the average one.

    ``turn``: a rotation ``(3, 3)`` of the axes.
    """
    times, seen = lifted.times_s, lifted.seen[person]
    fps = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else float(lifted.meta.get("fps") or _FPS_OF_ONE_FRAME)
    held = _held(seen)
    return PersonMotion(seen, times, fps, False, lifted.poses_m[person], turn, Places(held, held, np.zeros(len(held))))


def steady_motion(lifted: Lifted, person: int, turn: Float64Array = _AS_IT_IS) -> PersonMotion:
    """Return the motion of one person over the whole clip at a constant rate; ``turn`` as above.

    Regular time stamps stay what they are. Others are resampled linearly at the clip's median rate; between a frame in
    which the person was seen and one in which they were not, there is no pose.
    """
    motion, times, seen = clip_motion(lifted, person, turn), lifted.times_s, lifted.seen[person]
    grid = times[0] + np.arange(len(times)) / motion.fps
    if np.abs(times - grid).max() * motion.fps <= _TOLERANCE:
        return replace(motion, times_s=grid)
    fps = 1 / float(np.median(np.diff(times)))
    grid = times[0] + np.arange(int((times[-1] - times[0]) * fps + 1e-6) + 1) / fps
    places, present = _interpolated(times, seen, grid)
    held = _held(present)
    places = Places(places.left[held], places.right[held], places.share[held])
    return replace(motion, seen=present, times_s=grid, fps=fps, resampled=True, _place=places)


def motion_notes(path: Path, motion: PersonMotion, first: int, last: int) -> list[str]:
    """Say what a file with a constant frame rate and a pose in every frame hides."""
    held = int((~motion.seen[first : last + 1]).sum())
    notes = [f"{path.name}: {held} frames without the person hold the nearest pose before them"] if held else []
    if motion.resampled:
        notes.append(f"{path.name}: time stamps vary, resampled to {motion.fps:.6g} frames a second")
    return notes


def _interpolated(times: Float64Array, seen: BoolArray, grid: Float64Array) -> tuple[Places, BoolArray]:
    """Return where the times of ``grid`` lie between the frames with a pose, and where they count as seen."""
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    present = seen[after - 1] & seen[after]
    frames = np.flatnonzero(seen)
    known = times[frames]
    nearest = np.rint((known - grid[0]) / (grid[1] - grid[0])).astype(int)
    present[nearest.clip(0, len(grid) - 1)] = True  # so that no frame gets lost between two of the grid
    right = np.clip(np.searchsorted(known, grid), min(1, len(known) - 1), len(known) - 1)
    left = np.maximum(right - 1, 0)
    span = np.where(right > left, known[right] - known[left], 1)
    return Places(frames[left], frames[right], np.clip((grid - known[left]) / span, 0, 1)), present


def _held(seen: BoolArray) -> Indices:
    """Return the frame whose pose each frame shows: the last one seen, and the first one before it."""
    last = np.maximum.accumulate(np.where(seen, np.arange(len(seen)), -1))
    return np.where(last < 0, int(np.argmax(seen)), last)
