"""Keypoints as plain arrays: ``.npy`` and ``.npz``.

``.npy``: ``(T, K, 2)`` or, with scores, ``(T, K, 3)`` for one person, ``(T, P, K, 2)`` or ``(T, P, K, 3)`` for several,
pixels; a joint that is NaN or (0, 0) is missing. Four numbers a joint are MediaPipe's x, y, z and visibility.

``.npz``: such an array as ``keypoints``, or as the only one; beside it, if known, ``scores`` ``(T, K)`` or ``(T, P, K)``,
``frames`` ``(T,)``, ``ids`` ``(P,)``, ``fps``, and ``size`` (width, height).
"""

from __future__ import annotations

from pathlib import Path

from poseedge.arrays import AnyArray
from poseedge.errors import DataError
from poseedge.live.formats.arrays import array_members
from poseedge.live.formats.collect import Detections, picture_size
from poseedge.live.json_lines import whole_number


def read(path: Path, found: Detections) -> None:
    """Add the people of an array file."""
    content = array_members(path)
    keypoints = content.get("keypoints", next(iter(content.values())) if len(content) == 1 else None)
    if keypoints is None or keypoints.ndim not in (3, 4) or keypoints.shape[-1] not in (2, 3, 4):
        arrays = ", ".join(f"{name} {array.shape}" for name, array in content.items()) or "none"
        raise DataError(f"{path}: expected keypoints (T, K, 2) or (T, P, K, 2), or with scores 3 for 2; found {arrays}")
    keypoints = keypoints[..., [0, 1, 3]] if keypoints.shape[-1] == 4 else keypoints
    people = keypoints if keypoints.ndim == 4 else keypoints[:, None]
    frames = _row(path, content, "frames", len(people))
    ids = _row(path, content, "ids", people.shape[1])
    scores = _scores(path, content.get("scores"), people)
    if "fps" in content and content["fps"].size == 1:
        found.fps = float(content["fps"].real.item())
    if "size" in content:
        found.size = picture_size(content["size"].ravel().tolist(), path)
    for row, whole in enumerate(people):
        frame = row if frames is None else frames[row]
        found.frame(frame)
        for number, person in enumerate(whole):
            id = number + 1 if ids is None else ids[number]
            # With several people and no ids the order may change from frame to frame.
            known = id if ids is not None or len(whole) == 1 else None
            found.person(frame, person, None if scores is None else scores[row, number], known)


def _row(path: Path, content: dict[str, AnyArray], name: str, count: int) -> list[int] | None:
    if name not in content:
        return None
    if content[name].shape != (count,):
        raise DataError(f"{path}: expected {name} ({count},), found {content[name].shape}")
    return [whole_number(value, f"{path}: {name}") for value in content[name].tolist()]


def _scores(path: Path, scores: AnyArray | None, people: AnyArray) -> AnyArray | None:
    if scores is None:
        return None
    if people.shape[-1] == 3 or scores.size != people[..., 0].size:
        raise DataError(f"{path}: scores {scores.shape} beside keypoints {people.shape}")
    return scores.reshape(people.shape[:-1])
