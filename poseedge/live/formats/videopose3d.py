"""VideoPose3D's npz of a video: what ``infer_video.py`` writes, and what ``prepare_data_2d_custom.py`` makes of it.

``infer_video``: ``keypoints[t] = [[], (n, 4, 17)]`` with rows x, y, logit and probability, COCO's joints, and
``metadata = {"w", "h"}``. Custom: ``positions_2d = {video: {"custom": [(T, 17, 2)]}}``, one person, holes already filled.
Both hold pickles, of which nothing but arrays and containers is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poseedge.errors import DataError
from poseedge.live.formats.arrays import objects
from poseedge.live.formats.collect import Detections, picture_size
from poseedge.live.json_lines import abridged

_LAYOUTS = {"coco": "coco17", "h36m": "h36m17"}  # by the name in the metadata


def read(path: Path, found: Detections) -> None:
    """Add the people of either kind of file."""
    content = objects(path)
    metadata = content.get("metadata")
    stated = metadata if isinstance(metadata, dict) else {}
    if "positions_2d" in content:
        _custom(content["positions_2d"], stated, found)
    else:
        _inferred(content.get("keypoints"), stated, found)


def _inferred(keypoints: Any, stated: dict[Any, Any], found: Detections) -> None:
    if not isinstance(keypoints, np.ndarray) or not keypoints.ndim:
        raise DataError(f"{found.path}: expected keypoints by frame, found {abridged(keypoints)}")
    found.size = picture_size((stated.get("w"), stated.get("h")), found.path) if stated else None
    for frame, entry in enumerate(keypoints):
        found.frame(frame)
        people = entry[1] if isinstance(entry, list | tuple | np.ndarray) and len(entry) == 2 else None
        if people is None or not isinstance(people, list | np.ndarray):
            raise DataError(f"{found.path}: frame {frame}: expected [[], people (n, 4, 17)], found {abridged(entry)}")
        for person in people:
            if not isinstance(person, np.ndarray) or person.ndim != 2 or person.shape[0] != 4:
                raise DataError(f"{found.path}: frame {frame}: expected a person (4, 17), found {abridged(person)}")
            found.person(frame, person[:2].T, person[3])


def _custom(positions: Any, stated: dict[Any, Any], found: Detections) -> None:
    videos = list(positions) if isinstance(positions, dict) else []
    if len(videos) != 1:
        hint = "give a file of one video; a data set is for poseedge eval"
        raise DataError(f"{found.path}: expected one video, found {len(videos)}: {abridged(videos)}", hint)
    actions = positions[videos[0]]
    views = next(iter(actions.values())) if isinstance(actions, dict) and len(actions) == 1 else None
    if not isinstance(views, list | tuple | np.ndarray) or len(views) != 1:
        raise DataError(f"{found.path}: expected {{video: {{'custom': [(T, 17, 2)]}}}}", "a data set is for poseedge eval")
    track = views[0]
    if not isinstance(track, np.ndarray) or track.ndim != 3 or track.shape[-1] not in (2, 3):
        raise DataError(f"{found.path}: expected keypoints (T, 17, 2), found {abridged(track)}")
    found.layout = _LAYOUTS.get(str(stated.get("layout_name")))
    video = stated.get("video_metadata")
    video = video.get(videos[0]) if isinstance(video, dict) else None
    if isinstance(video, dict) and "w" in video:
        found.size = picture_size((video["w"], video.get("h")), found.path)
    for frame, person in enumerate(track):
        found.frame(frame)
        found.person(frame, person, id=1)
