"""One person at one constant frame rate, as formats that hold no time stamps need it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from poseedge.arrays import BoolArray, Float64Array
from poseedge.live.types import Lifted

_FPS_OF_ONE_FRAME = 30.0  # of a single frame whose source has no rate: the file must name one
_TOLERANCE = 0.1  # of a frame: time stamps rounded to milliseconds are still regular


@dataclass(frozen=True)
class PersonMotion:
    """One person from the first to the last frame in which they were seen, or over the whole clip."""

    poses_m: Float64Array  # (N, 17, 3); a frame in which the person was not seen holds the last pose
    seen: BoolArray  # (N,)
    times_s: Float64Array  # (N,)
    fps: float
    resampled: bool


def clip_motion(lifted: Lifted, person: int) -> PersonMotion:
    """Return the motion of one person over the whole clip at its own times; the rate is the average one."""
    times, seen = lifted.times_s, lifted.seen[person]
    fps = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else float(lifted.meta.get("fps") or _FPS_OF_ONE_FRAME)
    return PersonMotion(_held(lifted.poses_m[person].astype(np.float64), seen), seen, times, fps, resampled=False)


def steady_motion(lifted: Lifted, person: int) -> PersonMotion:
    """Return the motion of one person over the whole clip at a constant rate.

    Regular time stamps stay what they are. Others are resampled linearly at the clip's median rate; between a frame in
    which the person was seen and one in which they were not, there is no pose.
    """
    motion, times, seen = clip_motion(lifted, person), lifted.times_s, lifted.seen[person]
    grid = times[0] + np.arange(len(times)) / motion.fps
    if np.abs(times - grid).max() * motion.fps <= _TOLERANCE:
        return replace(motion, times_s=grid)
    fps = 1 / float(np.median(np.diff(times)))
    grid = times[0] + np.arange(int((times[-1] - times[0]) * fps + 1e-6) + 1) / fps
    poses, present = _interpolated(times, motion.poses_m, seen, grid)
    return PersonMotion(_held(poses, present), present, grid, fps, resampled=True)


def motion_notes(path: Path, motion: PersonMotion, first: int, last: int) -> list[str]:
    """Say what a file with a constant frame rate and a pose in every frame hides."""
    held = int((~motion.seen[first : last + 1]).sum())
    notes = [f"{path.name}: {held} frames without the person hold the nearest pose before them"] if held else []
    if motion.resampled:
        notes.append(f"{path.name}: time stamps vary, resampled to {motion.fps:.6g} frames a second")
    return notes


def _interpolated(
    times: Float64Array, poses: Float64Array, seen: BoolArray, grid: Float64Array
) -> tuple[Float64Array, BoolArray]:
    """Return poses at the times of ``grid``, linearly between the frames with a pose, and where they count as seen."""
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    present = seen[after - 1] & seen[after]
    known = times[seen]
    nearest = np.rint((known - grid[0]) / (grid[1] - grid[0])).astype(int)
    present[nearest.clip(0, len(grid) - 1)] = True  # so that no frame gets lost between two of the grid
    right = np.clip(np.searchsorted(known, grid), min(1, len(known) - 1), len(known) - 1)
    left = np.maximum(right - 1, 0)
    span = np.where(right > left, known[right] - known[left], 1)
    share = np.clip((grid - known[left]) / span, 0, 1)[:, None, None]
    return (1 - share) * poses[seen][left] + share * poses[seen][right], present


def _held(poses: Float64Array, seen: BoolArray) -> Float64Array:
    """Return poses with the last one seen wherever there is none, and the first one before it."""
    last = np.maximum.accumulate(np.where(seen, np.arange(len(seen)), -1))
    return poses[np.where(last < 0, int(np.argmax(seen)), last)]
