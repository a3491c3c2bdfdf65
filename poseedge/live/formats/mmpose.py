"""MMPose 1.x: predictions of the inferencer and of the demo scripts.

Inferencer, video: ``[{"frame_id": 0, "instances": [{"keypoints": [[x, y], ...], "keypoint_scores": [...]}]}]``; picture: the
list of instances alone, one file per picture. Demo scripts: the same as ``instance_info`` beside ``meta_info``, frames from 1.
Boxes, which stand in doubled lists, are not needed. Its 3D results are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poseedge.errors import DataError
from poseedge.live.formats.collect import Detections, pictures
from poseedge.live.formats.json_text import JsonText, json_text
from poseedge.live.json_lines import abridged, whole_number


def read(path: Path, found: Detections) -> None:
    """Add the people of a predictions file, or of a folder with one for each picture."""
    for frame, file in pictures(path, ".json"):
        with json_text(file) as text:
            if text.peek() == "{":
                for key in text.members():
                    if key == "instance_info":
                        _list(text, frame, found)
                    else:
                        text.value()
            else:
                _list(text, frame, found)
            text.end()


def _list(text: JsonText, frame: int, found: Detections) -> None:
    """Add frames with their instances, or the instances of one picture."""
    covered = False
    for entry in text.values():
        if not isinstance(entry, dict):
            raise DataError(f"{found.path}: expected instances, found {abridged(entry)}")
        if "instances" in entry:
            number = whole_number(entry.get("frame_id"), f"{found.path}: frame_id")
            if not isinstance(entry["instances"], list):
                raise DataError(
                    f"{found.path}: frame {number}: expected a list of instances, found {abridged(entry['instances'])}"
                )
            found.frame(number)
            for instance in entry["instances"]:
                _instance(instance, number, found)
            covered = True
        else:
            _instance(entry, frame, found)
    if not covered:
        found.frame(frame)


def _instance(instance: Any, frame: int, found: Detections) -> None:
    if not isinstance(instance, dict) or not isinstance(instance.get("keypoints"), list):
        raise DataError(f"{found.path}: frame {frame}: expected an instance with 'keypoints', found {abridged(instance)}")
    keypoints, scores = instance["keypoints"], instance.get("keypoint_scores")
    if keypoints and isinstance(keypoints[0], list) and len(keypoints[0]) == 3:
        raise DataError(f"{found.path}: frame {frame}: three numbers a joint: 3D poses", "give the 2D predictions")
    found.person(frame, keypoints, [1.0] * len(keypoints) if scores is None else scores)
