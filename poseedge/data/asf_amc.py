"""Motion from Acclaim files, as the CMU database has it: a skeleton (ASF) and its movement (AMC), by forward kinematics.

The format: "Acclaim Skeleton File Definition V1.10" (Schafer 1994). A bone leads from its parent's end in a fixed direction
of the base pose; its degrees of freedom turn it about axes of its own, which ``axis`` places in the base pose.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from poseedge.arrays import Float64Array
from poseedge.data.bvh import about
from poseedge.errors import DataError

JOINTS = Path(__file__).with_name("asf_joints.toml")
ROOT = "root"
MOVES = ("tx", "ty", "tz", "rx", "ry", "rz")  # how a bone moves; stretching, "l", is not read
FPS = 120.0  # of the CMU database; an AMC file does not say


@dataclass(frozen=True)
class Bone:
    """One bone in the base pose, file units; the root has no length and its place is in its degrees of freedom."""

    parent: str
    reach: Float64Array  # (3,) from the parent's end to its own
    axes: Float64Array  # (3, 3) where its turning axes lie in the base pose
    freedom: tuple[str, ...]  # tx, ty, tz, rx, ry, rz in the file's order


@dataclass(frozen=True)
class Skeleton:
    """Bones by name, parents first, and whether angles are degrees."""

    bones: dict[str, Bone]
    degrees: bool


def skeleton_of(motion: Path) -> Path:
    """Return the skeleton file of an AMC file: the only one of its folder, or the one whose name it begins with.

    ``07_01.amc`` is of ``07.asf``, as in the CMU database. Raises ``DataError`` where none fits.
    """
    there = sorted(path for path in motion.resolve().parent.iterdir() if path.suffix.lower() == ".asf")
    named = [path for path in there if motion.stem == path.stem or motion.stem.startswith(f"{path.stem}_")]
    fitting = named or there
    if len(fitting) != 1:
        found = ", ".join(path.name for path in there) or "none"
        raise DataError(
            f"{motion}: an AMC file needs its skeleton beside it, found {found}",
            f"put {motion.stem.split('_')[0]}.asf into the same folder",
        )
    return fitting[0]


def read_asf(path: Path) -> Skeleton:
    """Read a skeleton; raises ``DataError`` naming the line at fault."""
    said = Said()
    try:
        for number, (word, *rest) in words(path):
            said.line = number
            said.take(word, rest)
        said.line = 0
        return Skeleton(said.bones(), said.degrees)
    except (KeyError, ValueError, IndexError) as error:
        where = f", line {said.line}" if said.line else ""
        hint = "skeletons of the CMU database are read as they are"
        raise DataError(f"{path}: not an ASF skeleton{where}: {error}", hint) from error


@dataclass
class Said:
    """What an ASF file says, line after line."""

    line: int = 0  # that was taken last; 0: it is the file as a whole that something is wrong with
    section: str = ""
    degrees: bool = True
    facts: dict[str, dict[str, list[str]]] = field(default_factory=lambda: {ROOT: {}})  # of each bone, by keyword
    parents: dict[str, str] = field(default_factory=dict)
    bone: dict[str, list[str]] = field(default_factory=dict)  # whose lines are being taken

    def take(self, word: str, rest: list[str]) -> None:
        """Take the first word of a line and the others."""
        if word.startswith(":"):
            self.section = word
        elif self.section == ":units" and word == "angle":
            self.degrees = rest[0].startswith("deg")
        elif self.section == ":root":
            self.facts[ROOT][word] = rest
        elif self.section == ":bonedata" and word == "begin":
            self.bone = {}
        elif self.section == ":bonedata" and word == "end":
            self.facts[self.bone["name"][0]] = self.bone
        elif self.section == ":bonedata":
            self.bone[word] = rest
        elif self.section == ":hierarchy" and word not in ("begin", "end"):
            self.parents |= dict.fromkeys(rest, word)

    def bones(self) -> dict[str, Bone]:
        """Return the bones, parents first whatever the file's order; raises ``ValueError`` where they make no skeleton."""
        if missing := sorted({*self.parents} - {*self.facts}):
            raise ValueError(f":hierarchy names {', '.join(missing)}, which :bonedata does not hold")
        if any(float(value) for value in self.facts[ROOT].get("position", [])):
            raise ValueError("its root has a position of its own, which is not read")
        found = {ROOT: read_bone("", self.facts[ROOT], "orientation", "order", self.degrees)}
        if ROOT in self.parents:
            raise ValueError(f":hierarchy has {ROOT} follow {self.parents[ROOT]}")
        if not found[ROOT].freedom:
            raise ValueError("its root has no order of movements")
        waiting = dict(self.parents)
        while waiting:
            ready = [name for name, parent in waiting.items() if parent in found]
            if not ready:
                raise ValueError(f"no way from {ROOT} to {', '.join(sorted(waiting))}")
            found |= {name: read_bone(waiting.pop(name), self.facts[name], "axis", "dof", self.degrees) for name in ready}
        return found


def read_bone(parent: str, facts: dict[str, list[str]], turned: str, freedom: str, degrees: bool) -> Bone:
    """Return a bone of what its part of the file says; the root's ``axis`` is an order alone."""
    direction = np.array(facts.get("direction", [0, 0, 0]), np.float64)
    reach = direction * float(facts.get("length", ["0"])[0])
    angles = np.array(facts.get(turned, ["0", "0", "0"])[:3], np.float64)
    order = facts["axis"][-1] if "axis" in facts else "XYZ"
    if reach.shape != (3,) or angles.shape != (3,):
        raise ValueError(f"bone {facts.get('name', [ROOT])[0]} needs three numbers for direction and {turned}")
    channels = tuple(f"r{axis}" for axis in order.lower())
    axes = turn(channels, np.deg2rad(angles)[None] if degrees else angles[None])[0]
    moves = tuple(word.lower() for word in facts.get(freedom, []))
    if unknown := [move for move in moves if move not in MOVES]:
        raise ValueError(f"{freedom} of {facts.get('name', [ROOT])[0]} names {unknown[0]!r:.20}, none of {', '.join(MOVES)}")
    return Bone(parent, reach, axes, moves)


def read_amc(path: Path, skeleton: Skeleton) -> dict[str, Float64Array]:
    """Return each bone's values ``(T, degrees of freedom)``; raises ``DataError`` naming the line at fault."""
    values: dict[str, list[list[float]]] = {name: [] for name, bone in skeleton.bones.items() if bone.freedom}
    number = frames = 0
    try:
        for number, (word, *rest) in words(path):  # noqa: B007 -- named in the error
            if word.startswith(":"):
                continue
            if word.isdecimal() and not rest:
                frames += 1
                continue
            wanted = len(skeleton.bones[word].freedom)
            if len(rest) != wanted:
                raise ValueError(f"{len(rest)} values for the {wanted} degrees of freedom of {word}")
            values[word].append([float(value) for value in rest])
            if len(values[word]) != frames:
                raise ValueError(f"{word} is not once in every frame")
        number += 1
        if short := [name for name, rows in values.items() if len(rows) != frames or not rows]:
            raise ValueError(f"{frames} frames, not all with {', '.join(short)}")
    except (KeyError, ValueError) as error:
        what = f"the skeleton has no bone {error}" if isinstance(error, KeyError) else error
        raise DataError(
            f"{path}: not a movement of this skeleton, line {number}: {what}", "is the ASF file beside it this subject's?"
        ) from error
    return {name: np.array(rows) for name, rows in values.items()}


def world_positions(skeleton: Skeleton, motion: dict[str, Float64Array]) -> dict[str, Float64Array]:
    """Return the end of every bone, and the root, by name: ``(T, 3)``, file units and axes."""
    frames = len(motion[ROOT])
    ends: dict[str, Float64Array] = {}
    turns: dict[str, Float64Array] = {"": np.tile(np.eye(3), (frames, 1, 1))}
    for name, bone in skeleton.bones.items():
        values = motion.get(name, np.zeros((frames, 0)))
        rotating = [i for i, channel in enumerate(bone.freedom) if channel.startswith("r")]
        angles = np.deg2rad(values[:, rotating]) if skeleton.degrees else values[:, rotating]
        own = turn([bone.freedom[i] for i in rotating], angles)
        turns[name] = turns[bone.parent] @ bone.axes @ own @ bone.axes.T
        place = np.zeros((frames, 3))
        for i, channel in enumerate(bone.freedom):
            if channel.startswith("t"):
                place[:, "xyz".index(channel[1])] = values[:, i]
        before = ends[bone.parent] if bone.parent else place
        ends[name] = before + turns[name] @ bone.reach
    return ends


def turn(channels: Iterable[str], angles: Float64Array) -> Float64Array:
    """Return rotations ``(T, 3, 3)`` by ``angles (T, n)``, radians, about fixed axes one after the other."""
    total = np.tile(np.eye(3), (len(angles), 1, 1))
    for channel, angle in zip(channels, angles.T, strict=True):
        total = about("xyz".index(channel[1]), angle) @ total
    return total


def words(path: Path) -> Iterable[tuple[int, list[str]]]:
    """Yield number and words of each line that says something; ``#`` starts a comment, brackets and commas are blanks."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    for number, line in enumerate(text.splitlines(), start=1):
        found = line.partition("#")[0].translate(str.maketrans("(),", "   ")).split()
        if found:
            yield number, found
