"""AlphaPose: ``alphapose-results.json`` in its three forms. Its folder ``sep-json`` is read as OpenPose's.

Default: one list of people, ``{"image_id": "12.jpg", "keypoints": [x, y, c, ...], "idx": 1}``; pictures without people
are absent. ``--format cmu`` and ``open``: people by picture, ``{"12.jpg": {"bodies": [{"joints": [...]}]}}`` and
``{"people": [{"pose_keypoints_2d": [...]}]}``. Confidences can be above 1. ``idx`` is a number, or a list of those that
were merged, of which the first is kept; without a tracker it is 0 for everybody.
"""

from __future__ import annotations

from pathlib import Path

from poseedge.live.formats.coco_results import person
from poseedge.live.formats.collect import Detections
from poseedge.live.formats.json_text import json_text
from poseedge.live.formats.openpose import add_people


def read(path: Path, found: Detections) -> None:
    """Add the people of a results file."""
    with json_text(path) as text:
        if text.peek() == "[":
            for entry in text.values():
                person(entry, found)
        else:
            for name in text.members():
                add_people(text.value(), found.picture(name), found, path)
        text.end()
