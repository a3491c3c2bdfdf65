"""COCO results: ``[{"image_id": 42, "category_id": 1, "keypoints": [x, y, score, ...], "score": 0.9}]``.

``image_id`` is taken for the frame. Images without people are absent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poseedge.errors import DataError
from poseedge.live.formats.collect import Detections
from poseedge.live.formats.json_text import json_text
from poseedge.live.formats.openpose import person_id
from poseedge.live.json_lines import abridged


def read(path: Path, found: Detections) -> None:
    """Add the people of a results file."""
    with json_text(path) as text:
        for entry in text.values():
            person(entry, found)
        text.end()


def person(entry: Any, found: Detections) -> None:
    """Add one entry of a results list; ``idx`` is AlphaPose's addition."""
    if not isinstance(entry, dict) or "image_id" not in entry or not isinstance(entry.get("keypoints"), list):
        raise DataError(f"{found.path}: expected a person with 'image_id' and 'keypoints', found {abridged(entry)}")
    frame = found.picture(entry["image_id"])
    found.person(frame, entry["keypoints"], id=person_id(entry.get("idx"), f"{found.path}: frame {frame}"))
