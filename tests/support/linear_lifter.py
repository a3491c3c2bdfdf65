"""Lifters that compute little, for tests of what surrounds a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.lifter import LifterSpec, check_keypoints
from poseedge.live.types import Clip, Floats, Track
from tests.support.stand_in import StandIn

Array = npt.NDArray[Any]
NANOHTNET = (243, tuple(range(117, 126)))


class LinearLifter(StandIn):
    """Poses are linear in the keypoints: mostly those of the frame shown, a little of all the window's, by slot."""

    backend = provider = "double"
    path = Path("linear.onnx")

    def __init__(self, frames: int = 243, shown: tuple[int, ...] = NANOHTNET[1], channels: int = 2, context: float = 0.1) -> None:
        self.spec = LifterSpec("linear", frames, shown, "fp32", None, channels)
        random = np.random.default_rng(frames + len(shown))
        self._matrix = random.normal(size=(channels, 3)).astype(np.float32)
        self._slots = (1 + context * random.normal(size=(len(shown), 1, 1))).astype(np.float32)
        self._context = np.float32(context)
        self.windows: list[Array] = []

    def __call__(self, keypoints: Floats) -> Floats:
        keypoints = check_keypoints(keypoints, self.spec)
        self.windows += list(keypoints)
        # One window at a time: a product's rounding may depend on the number of its rows.
        return np.stack([self._lift(window) for window in keypoints])

    def _lift(self, window: Floats) -> Floats:
        shown = window[list(self.spec.output_frames)] * self._slots
        return np.asarray((shown + self._context * window.mean(axis=0)) @ self._matrix, np.float32)


def clip_of(*people: Array, fps: float | None = 50.0, size: tuple[int, int] = (1000, 1002), layout: str = "h36m17") -> Clip:
    """Return a clip of people ``(T, K, 2)``, numbered from 1; frames without a finite joint are absent."""
    length = max(len(px) for px in people)
    tracks = []
    for number, px in enumerate(people, start=1):
        frames = np.flatnonzero(np.isfinite(px).any(axis=(1, 2)))
        rows = px[frames].astype(np.float32)
        tracks.append(Track(number, frames, rows, np.ones(rows.shape[:2], np.float32)))
    return Clip("clip", layout, tuple(tracks), np.arange(length), size, fps)
