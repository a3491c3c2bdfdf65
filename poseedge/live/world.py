"""Axes of lifted poses: what each is called, and the turn to the y-up axes that animation programs use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poseedge.arrays import Float32Array, FloatArray
from poseedge.errors import DataError
from poseedge.live.types import Lifted

CAMERA = "camera"  # x right, y down, z away from the camera
FLOOR = "floor"  # x right, y up, z towards the camera
DEMO = "demo"  # z up: the world of Human3.6M, as the demos of the lifting repositories draw it

_TO_Y_UP = {
    CAMERA: np.diag([1.0, -1.0, -1.0]),
    FLOOR: np.eye(3),
    DEMO: np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


def y_up(lifted: Lifted) -> Lifted:
    """Return the same poses in right-handed axes with y up; raises ``DataError`` if ``meta["axes"]`` is unknown."""
    axes = str(lifted.meta.get("axes"))
    if axes not in _TO_Y_UP:
        raise DataError(f"poses are in unknown axes {axes!r}", f"meta['axes'] should be one of {', '.join(_TO_Y_UP)}")
    return replace(lifted, poses_m=turned(lifted.poses_m, _TO_Y_UP[axes]), meta={**lifted.meta, "axes": FLOOR})


def turned(poses_m: FloatArray, rotation: FloatArray) -> Float32Array:
    """Return points ``(..., 3)`` after ``rotation`` ``(3, 3)``."""
    return np.asarray(poses_m @ rotation.T, dtype=np.float32)
