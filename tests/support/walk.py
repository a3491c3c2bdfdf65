"""A few steps of a walk, and arrays as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poseedge.data.npz import read_npz
from tests.support.folders import MINI

MOTION = read_npz(MINI / "data_3d_mocap17-mini.npz")["positions_3d"]
WALK = np.ascontiguousarray(MOTION["S1"]["Walking 1"][:12])


def array(folder: Path, name: str, world: object) -> Path:
    """Write an array to ``folder``."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(world))
    return path
