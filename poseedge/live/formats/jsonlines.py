"""JSON lines, as ``poseedge stream`` reads them: a line per frame, in any order.

``{"frame": 12, "time": 0.24, "people": [{"id": 1, "keypoints": [[x, y, score], ...]}]}``. ``frame`` counts the lines from 0
where it is missing; ``time``, in seconds, gives the frame rate, and where it is not regular the time of each frame, those
without a line in between; ids and scores may be left out; null is a missing joint. A frame without people has an empty list,
or no line.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poseedge.errors import DataError
from poseedge.live.formats.collect import Detections
from poseedge.live.json_lines import KeypointLine, read_line


def read(path: Path, found: Detections) -> None:
    """Add the people of all lines."""
    times = dict[int, float]()
    seen = set[int]()
    with path.open(encoding="utf-8-sig", newline="\n") as stream:
        for number, text in enumerate(stream):
            if not text.strip():
                continue
            try:
                line = read_line(text, number + 1)
            except DataError as error:
                raise DataError(f"{path}: {error.message}", error.hint) from error
            frame = number if line.frame is None else line.frame
            if frame in seen:
                raise DataError(f"{path}: line {number + 1}: frame {frame} again", "all people of a frame stand in one line")
            seen.add(frame)
            _people(line, frame, found)
            if line.time_s is not None:
                times[frame] = line.time_s
    if len(times) > 1:
        found.timed(np.array(sorted(times.items()), np.float64))


def _people(line: KeypointLine, frame: int, found: Detections) -> None:
    found.frame(frame)
    if isinstance(line.people, dict):
        for id, keypoints in line.people.items():
            found.person(frame, keypoints, id=id)
    else:
        for keypoints in line.people:
            found.person(frame, keypoints)
