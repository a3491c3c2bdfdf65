"""``.csv``: a row per frame and person seen."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from poseedge.files import atomic_write
from poseedge.live.types import Lifted
from poseedge.live.writers.common import WriterOptions, Written
from poseedge.skeleton import JOINT_NAMES

HEADER = (
    "frame",
    "time_s",
    "id",
    *(f"{joint}_{axis}_m" for joint in JOINT_NAMES for axis in "xyz"),
    *(f"{joint}_filled" for joint in JOINT_NAMES),
)


def write(lifted: Lifted, path: Path, options: WriterOptions) -> Written:
    """Write frame, time, person, 51 coordinates in metres, rounded to 0.01 mm, and which joints were filled (0 or 1)."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(HEADER)
        for number, person in np.argwhere(lifted.seen.T):
            coordinates = (f"{value:.5f}" for value in lifted.poses_m[person, number].ravel())
            filled = lifted.filled[person, number].astype(int)
            rows.writerow([lifted.frames[number], f"{lifted.times_s[number]:.6f}", lifted.ids[person], *coordinates, *filled])
    return Written((path,), (f"{path.name}: metres in {lifted.meta.get('axes')} axes",))
