"""What live use passes on: people's keypoints as a detector gave them, and their poses once lifted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Track:
    """One person over time; a frame in which nobody saw this person is absent."""

    id: int
    frames: Indices  # (N,), increasing
    keypoints: Floats  # (N, K, 2) pixels, y down; NaN where a joint was not given
    scores: Floats  # (N, K), 0 to 1; 1 where the source has none


@dataclass(frozen=True)
class Clip:
    """All people of one source, in one layout of joints."""

    name: str  # of the file or folder, for messages
    layout: str  # a name of ``layouts.LAYOUTS``
    tracks: tuple[Track, ...]
    frames: Indices  # (T,) all frame numbers from the first to the last, those without people too
    size: tuple[int, int] | None = None  # width and height of the picture, if the source says it
    fps: float | None = None  # frames per second, if the source says it
    times_s: npt.NDArray[np.float64] | None = None  # (T,) of the frames, where they do not follow from ``fps``
    scaled: bool = False  # the source's coordinates, from 0 to 1, were taken for fractions of the picture's sides


@dataclass(frozen=True)
class Lifted:
    """Poses of all people of a clip over one time axis; where a person was not seen, poses are NaN."""

    poses_m: Floats  # (P, T, 17, 3) metres, root-relative; axes as ``meta["axes"]`` says
    frames: Indices  # (T,) frame numbers of the source
    times_s: npt.NDArray[np.float64]  # (T,)
    ids: Indices  # (P,)
    seen: Flags  # (P, T) a pose is given
    filled: Flags  # (P, T, 17) the keypoint was missing or thrown out, and estimated from its neighbours in time
    keypoints_px: Floats  # (P, T, 17, 2) Human3.6M joints in pixels, as lifted
    scores: Floats  # (P, T, 17)
    meta: dict[str, Any]  # JSON: source, artefact, precision, view, trunk, fps, size, axes, versions
