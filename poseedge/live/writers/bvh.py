"""``.bvh``: a skeleton of fixed limbs and its rotations, a file per person.

The format is Biovision Hierarchy: offsets in centimetres, angles in degrees, y up, a pose for every frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import numpy as np

from poseedge.arrays import Float64Array
from poseedge.live.rig.limbs import REST_DIRECTIONS, RIG, LimbFit, children_of, rest_offset
from poseedge.live.rig.rotations import euler_deg
from poseedge.live.types import Lifted
from poseedge.live.world import to_y_up
from poseedge.live.writers.common import WriterOptions, Written, file_per_person
from poseedge.live.writers.steady import PersonMotion, motion_notes, steady_motion

_CM = 100
_END_SITE_CM = 8.0  # nominal: nothing is known of what lies beyond wrists, ankles and the top of the head
_ORDER = "ZXY"  # the one order that every reader takes
_FEET = ("RightFoot", "LeftFoot")


def write(lifted: Lifted, path: Path, options: WriterOptions) -> Written:
    """Write all frames of the clip for each person, so that several people's files keep in step.

    Frames without the person hold the last pose, those before the first pose hold the first. The format has no place for
    the distance between the fixed limbs and the lifted joints; it is returned.
    """
    turn, notes, distances = to_y_up(lifted), [], {}
    with file_per_person(path, lifted) as files:
        for person, temporary, final in files:
            motion = steady_motion(lifted, person, turn)
            fit = LimbFit(motion.rows, motion.seen, motion.fps)
            with temporary.open("w", encoding="ascii") as stream:
                _write_hierarchy(stream, fit.medians_m)
                _write_motion(stream, fit, motion)
            distances[int(lifted.ids[person])] = fit.distance_mm
            notes += [f"{final.name}: limbs of fixed length, from the lifted joints {fit.said}"]
            notes += motion_notes(final, motion, 0, len(motion.seen) - 1)
    return Written(tuple(final for _, _, final in files), tuple(notes), distances)


def _write_hierarchy(stream: TextIO, lengths_m: Float64Array) -> None:
    def offset(depth: int, values: Float64Array) -> str:
        return "  " * depth + "OFFSET " + " ".join(f"{value:.6f}" for value in values) + "\n"

    def joint(number: int, depth: int) -> None:
        node, indent = RIG[number], "  " * depth
        stream.write(f"{indent}{'JOINT' if depth else 'ROOT'} {node.name}\n{indent}{{\n")
        stream.write(offset(depth + 1, rest_offset(node, lengths_m) * _CM))
        rotations = " ".join(f"{axis}rotation" for axis in _ORDER)
        channels = f"3 {rotations}" if depth else f"6 Xposition Yposition Zposition {rotations}"
        stream.write(f"{indent}  CHANNELS {channels}\n")
        children = children_of(node)
        for child in children:
            joint(child, depth + 1)
        if not children:
            way = np.array([0.0, 0, 1]) if node.name in _FEET else REST_DIRECTIONS[node.joint]
            stream.write(f"{indent}  End Site\n{indent}  {{\n{offset(depth + 2, way * _END_SITE_CM)}{indent}  }}\n")
        stream.write(f"{indent}}}\n")

    stream.write("HIERARCHY\n")
    joint(0, 0)


def _write_motion(stream: TextIO, fit: LimbFit, motion: PersonMotion) -> None:
    stream.write(f"MOTION\nFrames: {len(motion.seen)}\nFrame Time: {1 / motion.fps:.9f}\n")
    values = np.empty((0, 3 + 3 * len(RIG)))
    for limbs in fit.blocks():
        last, values = values[-1:], np.empty((len(limbs.root_m), 3 + 3 * len(RIG)))
        values[:, :3] = limbs.root_m * _CM
        for number in range(len(RIG)):
            own = slice(3 * number + 3, 3 * number + 6)
            values[:, own] = euler_deg(limbs.turns(number), _ORDER, last[0, own] if len(last) else None)
        row_format = " ".join(["%.6f"] * values.shape[1]) + "\n"
        for row in values:
            stream.write(row_format % tuple(row))
