"""A table with a header: a row per person and frame; commas, semicolons or tabs between the columns.

``frame,id,x0,y0,s0,x1,y1,s1,...`` in the order of a layout, counted from 0 or 1, or joints by name:
``frame,id,nose_x,nose_y,nose_score,left_eye_x,...`` with COCO's or Human3.6M's names. ``frame`` may be missing where there
is one person: rows then count from 0. ``id`` and scores may be missing. A score's column ends, or begins, with one of s, c,
score, conf, confidence, visibility, likelihood. An empty cell is a missing joint, as is a named joint without a column. Other
columns do not matter.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseedge.errors import DataError
from poseedge.live.formats.collect import Detections, frame_number
from poseedge.live.json_lines import abridged, whole_number
from poseedge.live.layouts import COCO_NAMES
from poseedge.skeleton import JOINT_NAMES

_SCORES = "s|c|score|conf|confidence|visibility|likelihood"
_NUMBERED = re.compile(rf"(x|y|{_SCORES})_?([0-9]{{1,3}})")
_NAMED = re.compile(rf"(.+)[_. ](x|y|{_SCORES})")
_FEWEST = 5  # named joints, or it is another table


@dataclass(frozen=True)
class _Columns:
    frame: int | None
    id: int | None
    joints: tuple[tuple[int, ...], ...]  # (K, 2 or 3): columns of x, y and score, -1: none
    layout: str | None


def is_table(path: Path) -> bool:
    """Say whether the first line of a text names columns of joints."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return _columns(_cells(stream.readline(1 << 16))) is not None


def read(path: Path, found: Detections) -> None:
    """Add the people of all rows."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline(1 << 16)
            columns = _columns(_cells(header))
            if columns is None:
                expected = "frame, id, x0, y0, s0, ..., or nose_x, nose_y, nose_score, ..."
                raise DataError(f"{path}: expected a header with columns such as {expected}; found {abridged(header)}")
            found.layout = columns.layout
            for number, row in enumerate(csv.reader(stream, delimiter=_delimiter(header))):
                if any(cell.strip() for cell in row):
                    _row(row, number, columns, found)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable table ({error})") from error


def _row(row: list[str], number: int, columns: _Columns, found: Detections) -> None:
    where = f"{found.path}: row {number + 1}"
    try:
        frame = number if columns.frame is None else frame_number(row[columns.frame].strip(), where)
        id = None if columns.id is None or not row[columns.id].strip() else whole_number(float(row[columns.id]), where)
        joints = [[_number(row, column) for column in joint] for joint in columns.joints]
    except (IndexError, ValueError) as error:
        raise DataError(f"{where}: expected as many numbers as the header has columns ({error})") from error
    found.person(frame, joints, id=id)


def _number(row: list[str], column: int) -> float:
    text = row[column].strip() if column >= 0 else ""
    return float(text) if text else np.nan


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _cells(header: str) -> list[str]:
    return [cell.strip().strip('"').strip().lower() for cell in header.strip().split(_delimiter(header))]


def _columns(cells: list[str]) -> _Columns | None:
    """Return where everything stands, None where these are not the columns of joints."""
    at = {name: column for column, name in reversed(list(enumerate(cells)))}
    places = {place: column for name, column in at.items() for place in _place(name)}
    numbers = sorted({int(joint) for joint, _ in places if joint.isdecimal()})
    orders: list[tuple[str | None, tuple[str, ...]]] = [("coco17", COCO_NAMES), ("h36m17", JOINT_NAMES)]
    if numbers and numbers[-1] - numbers[0] == len(numbers) - 1 and numbers[0] in (0, 1):
        order: tuple[str, ...] = tuple(map(str, numbers))
        layout = None
        complete = all((joint, axis) in places for joint in order for axis in "xy")
    else:
        layout, order = max(orders, key=lambda known: sum((joint, "x") in places for joint in known[1]))
        complete = sum((joint, "x") in places and (joint, "y") in places for joint in order) >= _FEWEST
    if not complete:
        return None
    scored = any((joint, "s") in places for joint in order)
    joints = tuple(tuple(places.get((joint, axis), -1) for axis in ("xys" if scored else "xy")) for joint in order)
    return _Columns(at.get("frame"), at.get("id"), joints, layout)


def _place(name: str) -> Iterator[tuple[str, str]]:
    """Return joint and axis (x, y, s for the score) of a column's name."""
    if numbered := _NUMBERED.fullmatch(name):
        yield str(int(numbered[2])), numbered[1] if numbered[1] in "xy" else "s"
    elif named := _NAMED.fullmatch(name):
        yield named[1].replace(" ", "_"), named[2] if named[2] in "xy" else "s"
