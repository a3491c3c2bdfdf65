"""A frame per line of JSON, as it comes: what ``poseedge stream`` reads and writes."""

from __future__ import annotations

import json
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poseedge.arrays import AnyArray
from poseedge.errors import DataError

if TYPE_CHECKING:
    from poseedge.live.stream import StreamFrame

EXAMPLE = '{"frame": 0, "time": 0.0, "people": [{"id": 1, "keypoints": [[x, y, score], ...]}]}'
_DIGITS = 6  # of metres
_LARGEST = 2**53  # of a number that is counted by: JSON's are doubles


@dataclass(frozen=True)
class KeypointLine:
    """A frame of keypoints; ``people`` as ``Stream.push`` takes them."""

    people: dict[int, AnyArray] | AnyArray
    frame: int | None = None
    time_s: float | None = None


def read_line(text: str, number: int) -> KeypointLine:
    """Read the ``number``-th line; raises ``DataError`` that names it."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"line {number}: not JSON ({error})", f"a line should be {EXAMPLE}") from error
    if not isinstance(content, dict) or not isinstance(content.get("people"), list):
        raise DataError(f"line {number}: no 'people'", f"a line should be {EXAMPLE}")
    frame, time = content.get("frame"), content.get("time")
    frame = None if frame is None else whole_number(frame, f"line {number}: 'frame'")
    if not (time is None or _number(time)):
        raise DataError(f"line {number}: 'time' {abridged(time)} should be seconds")
    people = [_person(person, number) for person in content["people"]]
    ids = [number for number, _ in people if number is not None]
    if len(set(ids)) < len(ids) or len(ids) not in (0, len(people)):
        raise DataError(f"line {number}: ids {[i for i, _ in people]}", "give each person of a frame an id of its own, or none")
    if ids or not people:
        return KeypointLine({i: keypoints for i, keypoints in people if i is not None}, frame, time)
    rows = [keypoints for _, keypoints in people]
    if len({row.shape for row in rows}) > 1:
        raise DataError(
            f"line {number}: people with {' and '.join(str(row.shape) for row in rows)} keypoints", "one layout for all"
        )
    return KeypointLine(np.stack(rows), frame, time)


def write_line(frame: StreamFrame) -> str:
    """Return a frame of poses as a line, without its end."""
    people = [
        {"id": number, "pose_m": np.round(posed.pose_m.astype(float), _DIGITS).tolist(), "filled": posed.filled.tolist()}
        for number, posed in frame.people.items()
    ]
    return json.dumps({"frame": frame.frame, "time": round(frame.time_s, _DIGITS), "people": people})


def abridged(value: Any) -> str:
    """Return the beginning of what was found, for a message."""
    return reprlib.repr(value)[:80]  # of a value of any size and depth


def whole_number(value: Any, where: str) -> int:
    """Return a frame number or id as JSON has it: 12, 12.0 or "12"."""
    if isinstance(value, str):
        value = float(value) if value.strip().isdecimal() else value
    whole = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST and value % 1 == 0
    if not whole:
        raise DataError(f"{where}: expected a whole number, found {abridged(value)}")
    return int(value)


def _person(content: Any, line: int) -> tuple[int | None, AnyArray]:
    keypoints = content.get("keypoints") if isinstance(content, dict) else None
    if not isinstance(keypoints, list):
        raise DataError(f"line {line}: a person without a list of 'keypoints'", f"a line should be {EXAMPLE}")
    number = content.get("id")
    number = None if number is None else whole_number(number, f"line {line}: 'id'")
    try:
        width = next((len(joint) for joint in keypoints if joint is not None), 3)
        array = np.array([[None] * width if joint is None else joint for joint in keypoints], np.float32)  # null: missing
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"line {line}: keypoints are not rows of numbers ({error})", f"a line should be {EXAMPLE}") from error
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        raise DataError(f"line {line}: keypoints of shape {array.shape}", f"a line should be {EXAMPLE}")
    return number, array


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
