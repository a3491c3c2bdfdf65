"""People of the sample data as a detector would see them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.data.npz import read_npz
from poseedge.live.layouts import LAYOUTS
from poseedge.resources import resource

Array = npt.NDArray[Any]
SIZE, FRAMES = (1000, 1002), 30
VIDEO = Path(__file__).parents[1] / "live" / "clip" / "single_cam02_480.mp4"


@cache
def joints(clip: int = 0) -> Array:
    """Return Human3.6M joints ``(30, 17, 2)`` in pixels of one of the sample set's clips."""
    mini = read_npz(resource("calib_data", "mocap17-mini", "data_2d_mocap17-mini_gt.npz"))["positions_2d"]
    subject, action = [("S9", "Walking 1"), ("S7", "Boxing 1"), ("S5", "Dancing 1")][clip]
    return np.asarray(mini[subject][action][0][40 : 40 + FRAMES], np.float32)


@cache
def coco(clip: int = 0) -> Array:
    """Return COCO joints ``(30, 17, 2)``: the limbs of ``joints``, and a face about its head."""
    h36m = joints(clip)
    neck, head = h36m[:, 9], h36m[:, 10]
    face = np.stack([0.6 * neck + 0.4 * head + np.array(offset) for offset in [(9, 0), (12, -5), (4, -5), (10, -3), (-8, -3)]], 1)
    limbs = h36m[:, [11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]]
    return np.asarray(np.concatenate([face, limbs], axis=1), np.float32)


@cache
def scores(clip: int = 0) -> Array:
    """Return confidences ``(30, 17)`` of ``coco``."""
    return np.random.default_rng(clip).uniform(0.4, 0.99, (FRAMES, 17)).astype(np.float32)


def in_layout(layout: str, clip: int = 0) -> tuple[Array, Array]:
    """Return keypoints ``(30, K, 2)`` and scores ``(30, K)`` in a layout; joints that COCO lacks stand anywhere."""
    if layout == "h36m17":
        return joints(clip), scores(clip)
    known, random = LAYOUTS[layout], np.random.default_rng(7)
    places = np.full((FRAMES, known.joints, 2), 500.0, np.float32) + random.normal(0, 40, (known.joints, 2)).astype(np.float32)
    confidences = np.full((FRAMES, known.joints), 0.5, np.float32)
    places[:, known.coco], confidences[:, known.coco] = coco(clip), scores(clip)
    return places, confidences


def json_lines(frames: int = 30) -> list[str]:
    """Return the lines of one person, as ``poseedge stream`` reads them."""
    rows = np.concatenate([coco(), np.ones((30, 17, 1))], axis=-1)[:frames]
    people = [[{"id": 5, "keypoints": row.tolist()}] for row in rows]
    return [json.dumps({"frame": 10 + number, "time": number / 50, "people": p}) for number, p in enumerate(people)]
