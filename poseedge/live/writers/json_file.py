"""``.json``: one entry per frame and person, under the names of ``poseedge stream``, a frame to a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.files import atomic_write
from poseedge.live.types import Lifted
from poseedge.live.writers.common import WriterOptions, Written
from poseedge.skeleton import JOINT_NAMES


def write(lifted: Lifted, path: Path, options: WriterOptions) -> Written:
    """Write ``{"meta", "joint_names", "frames": [{"frame", "time", "people": [...]}]}``.

    People who are not seen in a frame are absent from it. Metres are rounded to 0.01 mm, pixels to 0.01, scores to 0.001;
    a keypoint that is not known is null.
    """
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(f'{{"meta": {json.dumps(lifted.meta)},\n"joint_names": {json.dumps(JOINT_NAMES)},\n"frames": [\n')
        for number in range(len(lifted.frames)):
            entry = {
                "frame": int(lifted.frames[number]),
                "time": round(float(lifted.times_s[number]), 6),
                "people": [_person(lifted, int(person), number) for person in np.flatnonzero(lifted.seen[:, number])],
            }
            end = ",\n" if number + 1 < len(lifted.frames) else "\n"
            stream.write(json.dumps(entry, allow_nan=False) + end)
        stream.write("]}\n")
    return Written((path,))


def _person(lifted: Lifted, person: int, number: int) -> dict[str, Any]:
    return {
        "id": int(lifted.ids[person]),
        "pose_m": _rounded(lifted.poses_m[person, number], 5),
        "filled": lifted.filled[person, number].tolist(),
        "keypoints_px": _rounded(lifted.keypoints_px[person, number], 2),
        "scores": _rounded(lifted.scores[person, number], 3),
    }


def _rounded(values: Any, digits: int) -> Any:
    exact = np.asarray(values, np.float64).round(digits)
    plain = exact.astype(object)
    plain[~np.isfinite(exact)] = None
    return plain.tolist()
