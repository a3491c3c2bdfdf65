"""Motion from BVH files: the 17 joints of Human3.6M by forward kinematics and the names of their joints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseedge.arrays import Float64Array
from poseedge.errors import DataError, PoseedgeError
from poseedge.files import read_toml
from poseedge.skeleton import JOINT_NAMES

JOINTS = Path(__file__).with_name("bvh_joints.toml")
END = ".end"  # of the last joint of a chain: its end site


@dataclass
class Joint:
    """One joint of the hierarchy: its place in the parent's axes, file units, and the channels that move it."""

    name: str
    parent: int
    offset: Float64Array
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recording:
    """What a BVH file holds: joints, parents first, and their channels' values ``(T, channels)``."""

    joints: list[Joint]
    values: Float64Array
    fps: float


def read_bvh(path: Path) -> Recording:
    """Read a BVH file; raises ``DataError`` naming the line at fault."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    joints: list[Joint] = []
    stack: list[int] = []
    number = 0
    try:
        for number, line in enumerate(lines, start=1):  # noqa: B007 -- named in the error
            word, *rest = line.split() or [""]
            if word in ("ROOT", "JOINT", "End"):
                parent = stack[-1] if stack else -1
                joints.append(Joint(joints[parent].name + END if word == "End" else rest[0], parent, np.zeros(3)))
            elif word == "{":
                stack.append(len(joints) - 1)
            elif word == "}":
                stack.pop()
            elif word == "OFFSET":
                joints[stack[-1]].offset = np.array(rest, np.float64)
            elif word == "CHANNELS":
                joints[stack[-1]].channels = tuple(rest[1:])
            elif word == "MOTION":
                break
        frames, seconds, start = _motion_header(lines, number)
        number = start
        rows = [line.split() for line in lines[start:] if line.strip()]
        width = sum(len(joint.channels) for joint in joints)
        if wrong := [i for i, row in enumerate(rows) if len(row) != width]:
            number += wrong[0] + 1
            raise ValueError(f"{len(rows[wrong[0]])} values for {width} channels")
        if not joints or not rows or len(rows) != frames:
            raise ValueError(f"{len(joints)} joints and {len(rows)} frames where {frames} are announced")
        return Recording(joints, np.array(rows, np.float64), round(1 / seconds, 2))  # the file rounds it
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise DataError(f"{path}: not a BVH file, line {number}: {error}", "export it again; it may be truncated") from error


def _motion_header(lines: list[str], start: int) -> tuple[int, float, int]:
    """Return frames, seconds per frame and the number of the line where values begin."""
    found: dict[str, float] = {}
    for number in range(start, min(start + 5, len(lines))):
        key, _, value = lines[number].partition(":")
        if key.strip() in ("Frames", "Frame Time"):
            found[key.strip()] = float(value)
        if len(found) == 2:
            return int(found["Frames"]), found["Frame Time"], number + 1
    raise ValueError("no 'Frames:' and 'Frame Time:' after MOTION")


def world_positions(recording: Recording) -> dict[str, Float64Array]:
    """Return the place of every joint and end site by name, ``(T, 3)``, file units and axes.

    Position channels give a joint's place in its parent's axes, instead of the offset; rotations apply in the order of
    the channels.
    """
    points: list[Float64Array] = []
    turns: list[Float64Array] = []
    frames, column = len(recording.values), 0
    for joint in recording.joints:
        place = np.tile(joint.offset, (frames, 1))
        turn = np.tile(np.eye(3), (frames, 1, 1))
        for channel in joint.channels:
            value, axis = recording.values[:, column], "XYZ".index(channel[0].upper())
            column += 1
            if channel[1:].lower() == "position":
                place[:, axis] = value
            else:
                turn = turn @ about(axis, np.deg2rad(value))
        if joint.parent >= 0:
            place = points[joint.parent] + (turns[joint.parent] @ place[:, :, None])[..., 0]
            turn = turns[joint.parent] @ turn
        points.append(place)
        turns.append(turn)
    return {joint.name: point for joint, point in zip(recording.joints, points, strict=True)}


def about(axis: int, angle: Float64Array) -> Float64Array:
    """Return rotations ``(T, 3, 3)`` about a coordinate axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn = np.zeros((len(angle), 3, 3))
    turn[:, axis, axis] = 1
    turn[:, i, i] = turn[:, j, j] = np.cos(angle)
    turn[:, j, i] = np.sin(angle)
    turn[:, i, j] = -turn[:, j, i]
    return turn


def human36m_joints(positions: dict[str, Float64Array], names: Path, where: Path) -> Float64Array:
    """Return the 17 joints ``(T, 17, 3)`` of named positions; ``names`` is a TOML file like ``bvh_joints.toml``."""
    known = {plain_name(name): value for name, value in positions.items()}
    table = _read_names(names)
    joints = []
    for joint in JOINT_NAMES:
        ways = table.get(joint, [])
        way = next((way for way in ways if all(plain_name(name) in known for name in way)), None)
        if way is None:
            tried = "; ".join(" + ".join(way) for way in ways) or "none named"
            raise DataError(
                f"{where}: no joint of this file is the {joint} (tried {tried})",
                f"its joints are {', '.join(positions)}; name them in a TOML file with --joints, as {JOINTS.name} does",
            )
        joints.append(np.mean([known[plain_name(name)] for name in way], axis=0))
    return np.stack(joints, axis=1)


def plain_name(name: str) -> str:
    """Return a joint's name without prefix, case and punctuation: ``mixamorig:LeftUpLeg`` is ``leftupleg``."""
    base, dot, end = name.partition(END)
    return re.sub(r"[^a-z0-9]", "", base.rsplit(":", 1)[-1].lower()) + dot + end


def _read_names(path: Path) -> dict[str, list[list[str]]]:
    try:
        table = read_toml(path)
        for joint, ways in table.items():
            if not isinstance(ways, list) or not all(isinstance(way, list) and {*map(type, way)} <= {str} for way in ways):
                raise PoseedgeError(f"{joint}: expected [[names to average], [other names], ...]")
    except (OSError, PoseedgeError) as error:
        raise DataError(f"{path}: not a table of joint names ({error})", f"write it as {JOINTS} is") from error
    return table
