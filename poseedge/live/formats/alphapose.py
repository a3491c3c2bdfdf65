"""AlphaPose: ``alphapose-results.json`` in its three forms. Its folder ``sep-json`` is read as OpenPose's.

Default: one list of people, ``{"image_id": "12.jpg", "keypoints": [x, y, c, ...], "idx": 1}``; pictures without people
are absent. ``--format cmu`` and ``open``: people by picture, ``{"12.jpg": {"bodies": [{"joints": [...]}]}}`` and
``{"people": [{"pose_keypoints_2d": [...]}]}``. Confidences can be above 1. ``idx`` is a number, or a list of those that
were merged, of which the first is kept; without a tracker it is 0 for everybody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poseedge.errors import DataError
from poseedge.live.formats.collect import Detections
from poseedge.live.formats.json_text import json_text
from poseedge.live.formats.openpose import people, person_id


def read(path: Path, found: Detections) -> None:
    """Add the people of a results file."""
    with json_text(path) as text:
        if text.peek() == "[":
            for entry in text.values():
                _entry(entry, found)
        else:
            for name in text.members():
                people(text.value(), found.picture(name), found, path)
        text.end()


def _entry(entry: Any, found: Detections) -> None:
    if not isinstance(entry, dict) or "image_id" not in entry or not isinstance(entry.get("keypoints"), list):
        raise DataError(f"{found.path}: expected a person with 'image_id' and 'keypoints', found {entry!r:.60}")
    frame = found.picture(entry["image_id"])
    found.person(frame, entry["keypoints"], id=person_id(entry.get("idx"), f"{found.path}: frame {frame}"))
