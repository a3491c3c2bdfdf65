"""``.trc``: marker trajectories for OpenSim, a file per person.

The format is the track row column file of Motion Analysis; checked against what OpenSim's ``TRCFileAdapter`` accepts: eight
header keys, labels X1 Y1 Z1 to X17 Y17 Z17, and no cell without a number.
"""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import numpy as np

from poseedge.live.rig.limbs import BLOCK
from poseedge.live.types import Lifted
from poseedge.live.world import to_y_up
from poseedge.live.writers.common import WriterOptions, Written, file_per_person
from poseedge.live.writers.steady import PersonMotion, motion_notes, steady_motion
from poseedge.skeleton import JOINT_NAMES

# Pose2Sim's names where it has the joint: Hip, RHip, ..., LWrist. Spine, Thorax and NeckNose are Human3.6M's own.
MARKERS = ["Hip", *(joint.title().replace("Right_", "R").replace("Left_", "L").replace("_", "") for joint in JOINT_NAMES[1:])]
_KEYS = ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"]


def write(lifted: Lifted, path: Path, options: WriterOptions) -> Written:
    """Write the lifted joints as they are, metres, y up, from the first to the last frame in which the person was seen.

    A frame in between without the person holds the last pose, as in Pose2Sim: OpenSim's tools refuse a gap in all markers.
    """
    turn, notes = to_y_up(lifted), []
    with file_per_person(path, lifted) as files:
        for person, temporary, final in files:
            motion = steady_motion(lifted, person, turn)
            first, last = np.flatnonzero(motion.seen)[[0, -1]]
            with temporary.open("w", encoding="utf-8") as stream:
                _write_rows(stream, final.name, motion, int(first), int(last))
            notes += motion_notes(final, motion, int(first), int(last))
    return Written(tuple(final for _, _, final in files), tuple(notes))


def _write_rows(stream: TextIO, name: str, motion: PersonMotion, first: int, last: int) -> None:
    rate, count = f"{motion.fps:.6f}", last + 1 - first
    values = (rate, rate, count, len(MARKERS), "m", rate, first + 1, count)
    labels = [f"{axis}{marker}" for marker in range(1, len(MARKERS) + 1) for axis in "XYZ"]
    rows = [
        ("PathFileType", "4", "(X/Y/Z)", name),
        _KEYS,
        map(str, values),
        ("Frame#", "Time", "\t\t\t".join(MARKERS), ""),
        ("", "", *labels),
        (),
    ]
    for row in rows:
        stream.write("\t".join(row) + "\n")
    for start in range(first, last + 1, BLOCK):
        stop = min(start + BLOCK, last + 1)
        for number, pose in enumerate(motion.rows(start, stop), start):
            coordinates = "\t".join(f"{value:.6f}" for value in pose.ravel())
            stream.write(f"{number + 1}\t{motion.times_s[number]:.6f}\t{coordinates}\n")
