"""Does what a file says go together? Pixels, normalized coordinates, another order of joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.errors import DataError
from poseedge.live.layouts import LAYOUTS, layout_named
from poseedge.live.types import Floats

_SAMPLE = 1000  # detections looked at, spread over the file
_SURE = 0.3  # scores from here on count
_ROOM = 0.15  # of the picture on each side: detectors guess joints a little outside, within their padded box
_BEYOND = 0.1  # share of sure joints outside that room which no real picture has


def layout_of(path: Path, keypoints: Floats, stated: str | None) -> str:
    """Return the layout of keypoints ``(N, K, 2)``: the stated one, or the one that has as many joints.

    Of the two with 17 joints COCO's, unless the joints stand as Human3.6M's do. Raises ``DataError`` where the joints
    do not fit the stated layout.
    """
    joints = keypoints.shape[1]
    if stated is not None and layout_named(stated).joints != joints:
        raise DataError(f"{path}: {joints} joints, but {stated} has {layout_named(stated).joints}", _which(joints))
    if stated is None:
        fitting = [name for name, layout in LAYOUTS.items() if layout.joints == joints]
        if not fitting:
            raise DataError(f"{path}: {joints} joints: no layout that is known", _which(joints))
        stated = fitting[0] if len(fitting) == 1 else None
    seen = _seventeen(keypoints) if joints == 17 else None
    if seen is not None and stated is not None and seen != stated:
        raise DataError(f"{path}: read as {stated}, but its joints stand as those of {seen}", f"try --layout {seen}")
    return stated or seen or "coco17"


def _which(joints: int) -> str:
    known = ", ".join(f"{name} {layout.joints}" for name, layout in LAYOUTS.items())
    return f"--layout names one of: {known}" if joints else ""


def _sample(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array[:: max(1, len(array) // _SAMPLE)]


def _seventeen(keypoints: Floats) -> str | None:
    """Return which of the two layouts of 17 joints these are, by where joints stand to each other; None: hard to say.

    COCO begins with five joints of the face, Human3.6M with the pelvis, between its joints 1 and 4, and a leg.
    """
    rows = _sample(keypoints)
    rows = rows[~np.isnan(rows).any(axis=(1, 2))]
    if not len(rows):
        return None
    extent = np.maximum(np.ptp(rows, axis=1).max(axis=-1), 1e-6)
    first_five = float(np.median(np.ptp(rows[:, :5], axis=1).max(axis=-1) / extent))
    off_middle = float(np.median(np.linalg.norm(rows[:, 0] - (rows[:, 1] + rows[:, 4]) / 2, axis=-1) / extent))
    off_shoulders = float(np.median(np.linalg.norm(rows[:, 8] - (rows[:, 11] + rows[:, 14]) / 2, axis=-1) / extent))
    if first_five > 0.25 and off_middle < 0.05 and off_shoulders < 0.2:
        return "h36m17"
    if first_five < 0.2 and off_shoulders > 0.2:
        return "coco17"
    return None


def scores(path: Path, given: Floats) -> None:
    """Refuse scores ``(N, K)`` that are none: many below zero are a depth. Heatmaps can be a little below."""
    if (_sample(given) < -0.05).mean() > 0.05:
        raise DataError(f"{path}: scores down to {given.min():.3g}", "is the third number a depth? Give x, y and a score")


def pixels(path: Path, keypoints: Floats, confidence: Floats, size: tuple[int, int] | None, normalized: bool) -> Floats:
    """Return keypoints ``(N, K, 2)`` in pixels; ``size``: width and height of the picture, if known.

    Coordinates from 0 to 1 over the picture, by the source's own word or by the look of them, are scaled. Raises
    ``DataError`` where the size is needed and not known, or where joints do not fit into the picture.
    """
    rows = _sample(keypoints)[(_sample(confidence) >= _SURE) & ~np.isnan(_sample(keypoints)).any(axis=-1)]
    if not len(rows):
        rows = keypoints[~np.isnan(keypoints).any(axis=-1)]
    if not len(rows):
        return keypoints
    low, high = rows.min(axis=0), rows.max(axis=0)
    looks = (np.abs(rows) <= 2).all() and (rows.max() - rows.min()) > 0
    if looks and (rows < 0).mean() > 0.1:
        raise DataError(
            f"{path}: coordinates from {_span(low, high)}: they look normalized to the screen, -1 to 1",
            "give pixels: x = (u + 1) W / 2, y = (v + H / W) W / 2",
        )
    if normalized or looks:
        if size is None:
            raise DataError(
                f"{path}: coordinates from {_span(low, high)}: normalized to the picture, 0 to 1",
                "give the picture's size in pixels with --size WxH",
            )
        keypoints, rows = keypoints * np.array(size, np.float32), rows * np.array(size, np.float32)
    if size is not None and (share := _beyond(rows, size)) > _BEYOND:
        swapped = _beyond(rows, (size[1], size[0])) <= _BEYOND
        raise DataError(
            f"{path}: {share:.0%} of joints lie far outside a picture of {size[0]}x{size[1]}; they go from {_span(low, high)}",
            f"is it {size[1]}x{size[0]}? Say so with --size" if swapped else "give the picture's size with --size WxH",
        )
    return keypoints


def _beyond(rows: Floats, size: tuple[int, int]) -> float:
    """Return the share of joints ``(N, 2)`` far outside the picture."""
    share = rows / np.array(size, np.float32)
    return float(((share < -_ROOM) | (share > 1 + _ROOM)).any(axis=-1).mean())


def _span(low: npt.NDArray[Any], high: npt.NDArray[Any]) -> str:
    return f"({low[0]:.4g}, {low[1]:.4g}) to ({high[0]:.4g}, {high[1]:.4g})"
