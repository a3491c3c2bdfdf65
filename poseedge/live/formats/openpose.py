"""OpenPose ``--write_json``, and what Pose2Sim and Sports2D write alike: a folder with one JSON file per frame.

``{"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, c, ...]}]}``; 0, 0, 0 is a missing joint, an
empty list nobody. The frame is the last number of the file's name. The order of people is not stable, and ids are -1. The
number of joints tells the layout: 75 numbers BODY_25, 54 COCO-18, 51 COCO-17, 78 HALPE-26, 399 whole body.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poseedge.errors import DataError
from poseedge.live.formats.collect import Detections, pictures
from poseedge.live.formats.json_text import json_text
from poseedge.live.json_lines import abridged, whole_number


def read(path: Path, found: Detections) -> None:
    """Add the people of a folder of frames, or of one frame."""
    for frame, file in pictures(path, ".json"):
        with json_text(file) as text:
            add_people(text.value(), frame, found, file)
            text.end()


def add_people(picture: Any, frame: int, found: Detections, file: Path) -> None:
    """Add the people of one picture: OpenPose's ``people``, or ``bodies`` as CMU-Pose had them."""
    bodies = picture.get("people", picture.get("bodies")) if isinstance(picture, dict) else None
    if not isinstance(bodies, list):
        raise DataError(f"{file}: expected people by picture, found {abridged(picture)}")
    found.frame(frame)
    for body in bodies:
        keypoints = body.get("pose_keypoints_2d", body.get("joints")) if isinstance(body, dict) else None
        if not isinstance(keypoints, list):
            raise DataError(f"{file}: frame {frame}: expected 'pose_keypoints_2d', found {abridged(body)}")
        found.person(frame, keypoints, id=person_id(body.get("person_id"), f"{file}: frame {frame}"))


def person_id(value: Any, where: str) -> int | None:
    """Return an id that is a number, or in lists; None and empty lists have none."""
    while isinstance(value, list):
        value = value[0] if value else None
    return None if value is None else whole_number(value, where)
