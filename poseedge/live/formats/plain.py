"""Keypoints as plain arrays: ``.npy`` and ``.npz``.

``.npy``: ``(T, K, 2)`` or ``(T, K, 3)`` with scores for one person, ``(T, P, K, 2)`` or ``(T, P, K, 3)`` for several, pixels;
a joint that is NaN or (0, 0) is missing. ``.npz``: such an array as ``keypoints``, or as the only one; beside it, if known,
``scores`` ``(T, K)`` or ``(T, P, K)``, ``frames`` ``(T,)``, ``ids`` ``(P,)``, ``fps``, and ``size`` (width, height).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.errors import DataError
from poseedge.live.formats.arrays import array_members
from poseedge.live.formats.collect import Detections, whole_number

Array = npt.NDArray[Any]


def read(path: Path, found: Detections) -> None:
    """Add the people of an array file."""
    content = array_members(path)
    keypoints = content.get("keypoints", next(iter(content.values())) if len(content) == 1 else None)
    if keypoints is None or keypoints.ndim not in (3, 4) or keypoints.shape[-1] not in (2, 3):
        shown = ", ".join(f"{name} {array.shape}" for name, array in content.items())
        raise DataError(f"{path}: expected keypoints (T, K, 2) or (T, P, K, 2), or with scores 3 for 2; found {shown or 'none'}")
    people = keypoints if keypoints.ndim == 4 else keypoints[:, None]
    frames = _row(path, content, "frames", len(people))
    ids = _row(path, content, "ids", people.shape[1])
    scores = _scores(path, content.get("scores"), people)
    found.size, found.fps = _size(path, content.get("size")), _fps(path, content.get("fps"))
    for row, whole in enumerate(people):
        frame = row if frames is None else frames[row]
        found.frame(frame)
        for number, person in enumerate(whole):
            id = number + 1 if ids is None else ids[number]
            # With several people and no ids the order may change from frame to frame.
            known = id if ids is not None or len(whole) == 1 else None
            found.person(frame, person, None if scores is None else scores[row, number], known)


def _row(path: Path, content: dict[str, Array], name: str, count: int) -> list[int] | None:
    if name not in content:
        return None
    if content[name].shape != (count,):
        raise DataError(f"{path}: expected {name} ({count},), found {content[name].shape}")
    return [whole_number(value, f"{path}: {name}") for value in content[name].tolist()]


def _scores(path: Path, scores: Array | None, people: Array) -> Array | None:
    if scores is None:
        return None
    if people.shape[-1] == 3 or scores.size != people[..., 0].size:
        raise DataError(f"{path}: scores {scores.shape} beside keypoints {people.shape}")
    return scores.reshape(people.shape[:-1])


def _size(path: Path, size: Array | None) -> tuple[int, int] | None:
    if size is None:
        return None
    numbers = [whole_number(value, f"{path}: size") for value in size.ravel().tolist()]
    if len(numbers) != 2 or min(numbers) < 1:
        raise DataError(f"{path}: expected size (width, height), found {numbers}")
    return numbers[0], numbers[1]


def _fps(path: Path, fps: Array | None) -> float | None:
    if fps is None:
        return None
    if fps.size != 1 or not np.issubdtype(fps.dtype, np.number) or not 0 < float(fps.real.item()) < 1e6:
        raise DataError(f"{path}: expected fps above 0, found {fps!r:.60}")
    return float(fps.real.item())
