"""Longer motion of the sample data than a detector's file needs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseSequence
from poseedge.resources import resource

Array = npt.NDArray[Any]
SIZE = (1000, 1002)


@cache
def sequences() -> tuple[PoseSequence, ...]:
    """Return all sequences of the sample data set."""
    return load_dataset(resource("calib_data", "mocap17-mini")).sequences


@cache
def pixels(place: int) -> Array:
    """Return Human3.6M joints ``(T, 17, 2)`` in pixels of a sequence."""
    screen = sequences()[place].keypoints.astype(np.float64)
    return np.asarray((screen + np.array([1, SIZE[1] / SIZE[0]])) * SIZE[0] / 2, np.float32)
