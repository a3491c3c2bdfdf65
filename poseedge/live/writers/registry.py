"""The table of writers, and what is checked before any of them starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from poseedge.errors import DataError, nearest
from poseedge.live.types import Lifted
from poseedge.live.writers import bvh, csv_file, glb, json_file, npz, trc
from poseedge.live.writers.common import WriterOptions, Written
from poseedge.skeleton import NUM_JOINTS

_WRITERS: dict[str, Callable[[Lifted, Path, WriterOptions], Written]] = {
    ".npz": npz.write,
    ".json": json_file.write,
    ".csv": csv_file.write,
    ".trc": trc.write,
    ".bvh": bvh.write,
    ".glb": glb.write,
}
SUFFIXES = tuple(_WRITERS)


def check_path(path: Path) -> None:
    """Raise ``DataError`` unless ``path`` names a file of a known kind; for use before the work begins."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder", f"name a file in it, such as {path / 'poses.npz'}")
    if path.suffix.lower() not in _WRITERS:
        kind = f"unknown kind of output {path.suffix!r}" if path.suffix else "no suffix says the kind of output"
        raise DataError(f"{path}: {kind}", nearest(path.suffix.lower(), list(SUFFIXES)))


def write(lifted: Lifted, path: Path, *, exact: bool = False) -> Written:
    """Write poses in the format that the suffix of ``path`` names; ``exact`` is for GLB alone.

    Raises ``DataError`` if the suffix is unknown, ``path`` is a folder, or ``lifted`` holds no pose or contradicts itself.
    Files appear whole or not at all.
    """
    check_path(path)
    _check(lifted, path)
    return _WRITERS[path.suffix.lower()](lifted, path, WriterOptions(exact=exact))


def _check(lifted: Lifted, path: Path) -> None:
    people, frames = len(lifted.ids), len(lifted.frames)
    shapes = {
        "poses_m": (people, frames, NUM_JOINTS, 3),
        "times_s": (frames,),
        "seen": (people, frames),
        "filled": (people, frames, NUM_JOINTS),
        "keypoints_px": (people, frames, NUM_JOINTS, 2),
        "scores": (people, frames, NUM_JOINTS),
    }
    for name, shape in shapes.items():
        found = getattr(lifted, name).shape
        if found != shape:
            raise DataError(f"{path}: cannot be written, {name} should be {shape} and is {found}")
    if not lifted.seen.any():
        raise DataError(
            f"{path}: nothing to write, no pose in {frames} frames of {people} people", "were the people found in the picture?"
        )
    if len(np.unique(lifted.ids)) < people:
        raise DataError(f"{path}: cannot be written, the people's ids {lifted.ids.tolist()} are not unique")
    if not np.isfinite(lifted.times_s).all() or (np.diff(lifted.times_s) <= 0).any():
        raise DataError(f"{path}: cannot be written, times do not increase", "say the frame rate with --fps")
    odd = np.argwhere(lifted.seen & ~np.isfinite(lifted.poses_m).all(axis=(2, 3)))
    if len(odd):
        person, frame = odd[0]
        raise DataError(
            f"{path}: cannot be written, person {lifted.ids[person]} counts as seen in frame {lifted.frames[frame]} "
            "and the pose is not finite"
        )
