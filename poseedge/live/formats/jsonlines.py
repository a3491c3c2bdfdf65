"""JSON lines, as ``poseedge stream`` reads them: a line per frame, in any order.

``{"frame": 12, "time": 0.24, "people": [{"id": 1, "keypoints": [[x, y, score], ...]}]}``. ``frame`` is the line's number,
from 0, where it is missing; ``time``, in seconds, gives the frame rate; ``id`` and the score may be left out; null is a
missing joint. A frame without people has an empty list, or no line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poseedge.errors import DataError
from poseedge.live.formats.collect import Detections, shown, whole_number
from poseedge.live.formats.json_text import json_text
from poseedge.live.formats.openpose import person_id


def read(path: Path, found: Detections) -> None:
    """Add the people of all lines."""
    number, times = 0, list[tuple[int, float]]()  # the earliest and the latest frame with their times
    with json_text(path) as text:
        while text.peek():
            line = text.value()
            frame = _line(line, number, found)
            time = line.get("time")
            if isinstance(time, int | float):
                times = [min([*times, (frame, time)]), max([*times, (frame, time)])]
            number += 1
    if len(times) == 2 and times[1][1] > times[0][1] and times[1][0] > times[0][0]:
        found.fps = (times[1][0] - times[0][0]) / (times[1][1] - times[0][1])


def _line(line: Any, number: int, found: Detections) -> int:
    """Add the people of one line; return its frame."""
    people = line.get("people") if isinstance(line, dict) else None
    if not isinstance(people, list):
        raise DataError(f"{found.path}: line {number + 1}: expected 'people', found {shown(line)}")
    frame = whole_number(line.get("frame", number), f"{found.path}: line {number + 1}: frame")
    found.frame(frame)
    for person in people:
        keypoints = person.get("keypoints") if isinstance(person, dict) else None
        if not isinstance(keypoints, list):
            raise DataError(f"{found.path}: frame {frame}: expected a person with 'keypoints', found {shown(person)}")
        width = next((len(joint) for joint in keypoints if isinstance(joint, list)), 3)
        rows = [[None] * width if joint is None else joint for joint in keypoints]
        found.person(frame, rows, id=person_id(person.get("id"), f"{found.path}: frame {frame}"))
    return frame
