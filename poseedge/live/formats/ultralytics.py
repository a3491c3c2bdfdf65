"""Ultralytics' pose models: ``to_json()`` or ``summary()``, and ``save_txt=True``.

JSON: per picture a list of people, ``{"track_id": 3, "keypoints": {"x": [...], "y": [...], "visible": [...]}}``; no frame
number stands in it. A file holds one picture, a list of such lists (or of the strings that ``to_json`` returns), or one
list after the other, and frames count from 0; in a folder of files the file's name tells the frame.

``save_txt``: a folder ``labels``, or a file of it, one per picture with people: ``class cx cy w h`` and then x, y and
confidence of each joint (or x and y alone), then confidence and id if they were asked for. Everything is in 0 to 1 over the
picture, whose size must be given. A second run appends to the files: what stands there twice counts once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poseedge.errors import DataError
from poseedge.live.formats.collect import Detections, pictures
from poseedge.live.formats.json_text import json_text, parsed_json
from poseedge.live.formats.openpose import person_id
from poseedge.live.json_lines import abridged
from poseedge.live.layouts import LAYOUTS

_BOX = 5  # class and box stand before the joints


def read_results(path: Path, found: Detections) -> None:
    """Add the people of a file or a folder of ``to_json``."""
    for first, file in pictures(path, ".json"):
        frame = first if path.is_dir() else 0
        with json_text(file) as text:
            while text.peek():
                frame = _frames(text.values(), frame, found)


def _frames(entries: Any, frame: int, found: Detections) -> int:
    """Add the people of one picture, or the pictures of a list; return the frame that follows."""
    start = frame
    for entry in entries:
        if isinstance(entry, dict):
            _person(entry, frame, found)
            continue
        found.frame(frame)
        for person in _picture(entry, frame, found):
            _person(person, frame, found)
        frame += 1
    if frame == start:
        found.frame(frame)
        frame += 1
    return frame


def _picture(entry: Any, frame: int, found: Detections) -> list[Any]:
    entry = parsed_json(entry, found.path) if isinstance(entry, str) else entry
    if not isinstance(entry, list):
        raise DataError(f"{found.path}: frame {frame}: expected a list of people, found {abridged(entry)}")
    return entry


def _person(person: Any, frame: int, found: Detections) -> None:
    keypoints = person.get("keypoints") if isinstance(person, dict) else None
    if not isinstance(keypoints, dict) or not isinstance(keypoints.get("x"), list) or not isinstance(keypoints.get("y"), list):
        hint = "detect with a pose model, such as yolo11n-pose"
        raise DataError(f"{found.path}: frame {frame}: expected a person with keypoints x and y, found {abridged(person)}", hint)
    x, y = keypoints["x"], keypoints["y"]
    scores = keypoints.get("visible")
    if len(x) != len(y):
        raise DataError(f"{found.path}: frame {frame}: {len(x)} joints by x, {len(y)} by y")
    id = person_id(person.get("track_id"), f"{found.path}: frame {frame}")
    found.person(frame, list(zip(x, y, strict=True)) or [], [1.0] * len(x) if scores is None else scores, id)


def read_txt(path: Path, found: Detections) -> None:
    """Add the people of a folder or file of ``save_txt``."""
    found.normalized = True
    for frame, file in pictures(path, ".txt"):
        found.frame(frame)
        try:
            lines = dict.fromkeys(file.read_text().splitlines())  # each once
            rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
        except ValueError as error:
            raise DataError(f"{file}: expected numbers: class, box and joints ({error})") from error
        for row in rows:
            _row(row, frame, file, found)


def _row(row: list[float], frame: int, file: Path, found: Detections) -> None:
    for joints in sorted({layout.joints for layout in LAYOUTS.values()}):
        for values in (3, 2):
            rest = len(row) - _BOX - joints * values
            if 0 <= rest <= 2:
                flat = row[_BOX : _BOX + joints * values]
                keypoints = [flat[at : at + values] for at in range(0, len(flat), values)]
                # Confidence, id, or both follow; a whole number alone is an id.
                last = row[-1] if rest == 2 or (rest == 1 and row[-1] >= 1) else None
                found.person(frame, keypoints, id=person_id(last, f"{file}: id"))
                return
    raise DataError(f"{file}: {len(row)} numbers in a line", "expected class, box, and joints: save_txt of a pose model")
