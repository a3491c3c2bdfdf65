"""A skeleton of rigid limbs on top of lifted joints: one length per limb, and the rotations that turn it into each pose.

A lifter gives 17 points and each limb another length in every frame; animation programs want fixed lengths and rotations.
All axes here have y up. The rest pose is a T: facing z, the person's left at x, arms level, palms down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from poseedge.arrays import AnyArray, BoolArray, Float64Array
from poseedge.data.cameras import rotate
from poseedge.live.gaussian import smoothed
from poseedge.live.rig.rotations import quaternions
from poseedge.skeleton import JOINT_NAMES, NUM_JOINTS, PARENTS

BLOCK = 4096  # frames that are worked on together
Rows = Callable[[int, int], Float64Array]
_HINGE_SMOOTHING_S = 0.1  # standard deviation in time of the plane in which a knee or an elbow bends
_PARENTS = np.array(PARENTS)
_HINGE_PRIOR = 0.1  # sine of the bend at which that plane counts as much as the plane of the rest pose


@dataclass(frozen=True)
class RigNode:
    """One joint of the rig: it stands at ``joint`` and turns the limb that leads to ``aims_at``, if it does."""

    name: str
    parent: int
    joint: int
    aims_at: int | None


def _rig() -> tuple[RigNode, ...]:
    """Return the rig, parents first, under the names of CMU's BVH files.

    Where limbs meet, in the pelvis and the thorax, each has a node of its own in the same place: the points of a lifter do
    not move rigidly there, and one common rotation would displace them.
    """
    table = """
        Hips         -           pelvis          -
        RHipJoint    Hips        pelvis          right_hip
        RightUpLeg   RHipJoint   right_hip       right_knee
        RightLeg     RightUpLeg  right_knee      right_ankle
        RightFoot    RightLeg    right_ankle     -
        LHipJoint    Hips        pelvis          left_hip
        LeftUpLeg    LHipJoint   left_hip        left_knee
        LeftLeg      LeftUpLeg   left_knee       left_ankle
        LeftFoot     LeftLeg     left_ankle      -
        LowerBack    Hips        pelvis          spine
        Spine        LowerBack   spine           thorax
        Spine1       Spine       thorax          -
        Neck         Spine1      thorax          neck_nose
        Head         Neck        neck_nose       head
        HeadTop_End  Head        head            -
        LeftShoulder Spine1      thorax          left_shoulder
        LeftArm      LeftShoulder left_shoulder  left_elbow
        LeftForeArm  LeftArm     left_elbow      left_wrist
        LeftHand     LeftForeArm left_wrist      -
        RightShoulder Spine1     thorax          right_shoulder
        RightArm     RightShoulder right_shoulder right_elbow
        RightForeArm RightArm    right_elbow     right_wrist
        RightHand    RightForeArm right_wrist    -
    """
    rows = [line.split() for line in table.split("\n") if line.strip()]
    names, joints = [row[0] for row in rows], {name: number for number, name in enumerate(JOINT_NAMES)}
    return tuple(
        RigNode(name, names.index(parent) if parent in names else -1, joints[joint], joints.get(aim))
        for name, parent, joint, aim in rows
    )


RIG = _rig()


def children_of(node: RigNode) -> list[int]:
    """Return the places in ``RIG`` of the nodes right below ``node``."""
    return [number for number, other in enumerate(RIG) if other.parent >= 0 and RIG[other.parent] is node]


def _unit_rest_directions() -> Float64Array:
    """Return the direction of every limb in the rest pose, from its parent joint, ``(17, 3)``; the root's is zero."""
    axes = {"right": (-1.0, 0, 0), "left": (1.0, 0, 0), "up": (0, 1.0, 0), "down": (0, -1.0, 0), "none": (0, 0, 0)}
    ways = "none right down down left down down up up up up left left left right right right"
    return np.array([axes[way] for way in ways.split()])


REST_DIRECTIONS = _unit_rest_directions()
# The axis about which a bend is positive, in the rest pose: knees bend backwards, elbows forwards.
_HINGES = {"RightUpLeg": (1, 0, 0), "LeftUpLeg": (1, 0, 0), "LeftArm": (0, -1, 0), "RightArm": (0, 1, 0)}


@dataclass(frozen=True)
class Limbs:
    """The motion of the rig, N nodes as in ``RIG``."""

    lengths_m: Float64Array  # (17,) of the limb that ends in each joint, or (T, 17) where they follow the poses
    root_m: Float64Array  # (T, 3) place of the pelvis
    quaternions: Float64Array  # (N, T, 4) w x y z: the rotation of each node in the axes of its parent
    joints_m: Float64Array  # (T, 17, 3) where the rig has its joints
    distance_mm: tuple[float, float]  # mean, 99th percentile, over joints and frames seen so far, to the joints that were lifted

    def turns(self, number: int) -> Float64Array:
        """Return the rotation of one node in the axes of its parent as matrices ``(T, 3, 3)``."""
        return rotate(self.quaternions[number][:, None], np.eye(3)).swapaxes(-1, -2)


def fit_limbs(poses_m: AnyArray, seen: BoolArray, fps: float, fixed: bool = True) -> Limbs:
    """Fit the rig to one person's joints ``(T, 17, 3)``, metres, y up, finite; T at least 1.

    Limbs get the median of their lengths over the frames ``seen`` ``(T,)``, or with ``fixed=False`` their length in each
    frame. Each limb points from where the rig has its parent joint to where the joint was lifted, so that errors of length
    do not add up along a chain. The twist of upper arms and thighs follows the plane in which elbow and knee bend, smoothed
    in time; all other nodes turn no more than they must.
    """
    raw = np.asarray(poses_m, np.float64)
    fit = LimbFit(lambda start, stop: raw[start:stop], seen, fps, fixed)
    (whole,) = fit.blocks(len(raw))
    return whole


class LimbFit:
    """``fit_limbs`` for a clip of any length, some frames at a time."""

    def __init__(self, rows: Rows, seen: BoolArray, fps: float, fixed: bool = True) -> None:
        """``rows``: gives joints ``(n, 17, 3)`` of frames ``start`` to ``stop``, those not ``seen`` too."""
        self._rows, self._seen, self._fps, self.fixed = rows, seen, fps, fixed
        self.medians_m = _median_lengths(rows, seen)  # (17,) of the limbs' lengths
        self._off = _Spread(NUM_JOINTS * int(np.count_nonzero(seen)))

    @property
    def distance_mm(self) -> tuple[float, float]:
        """Mean and 99th percentile, over joints and frames seen, from the rig to the lifted joints, once all is read."""
        return self._off.mean, self._off.p99

    @property
    def said(self) -> str:
        """Say how far fixed limbs moved the joints."""
        return "mean {:.1f} mm, 99 % below {:.1f} mm".format(*self.distance_mm)

    def blocks(self, frames: int = BLOCK) -> Iterator[Limbs]:
        """Yield the motion, ``frames`` frames at a time; what follows a block does not depend on where it ends."""
        reach, length = int(np.ceil(3 * _HINGE_SMOOTHING_S * self._fps)), len(self._seen)
        before: list[Float64Array | None] = [None] * len(RIG)
        for start in range(0, length, frames):
            stop = min(start + frames, length)
            low, high = max(start - reach, 0), min(stop + reach, length)
            own = slice(start - low, stop - low)
            raw = self._rows(low, high)
            lengths = np.broadcast_to(self.medians_m, raw.shape[:2]) if self.fixed else _lengths(raw)
            joints = _placed(raw, lengths)
            self._off.add(np.linalg.norm(joints[own] - raw[own], axis=-1)[self._seen[start:stop]].ravel() * 1000)
            turns = [quaternions(turn[own], last) for turn, last in zip(_local_turns(joints, self._fps), before, strict=True)]
            before = [turn[-1] for turn in turns]
            kept = self.medians_m if self.fixed else lengths[own]
            yield Limbs(kept, raw[own, 0], np.stack(turns), joints[own], self.distance_mm)


class _Spread:
    """Mean and 99th percentile of ``count`` numbers that come bit by bit: of which only the largest need be kept."""

    def __init__(self, count: int) -> None:
        self._count, self._sum = count, 0.0
        self._rank = 0.99 * (count - 1)
        self._top = np.empty(0)

    def add(self, values: Float64Array) -> None:
        self._sum += float(values.sum())
        kept, room = np.concatenate([self._top, values]), self._count - int(self._rank)
        self._top = np.partition(kept, len(kept) - room)[-room:] if len(kept) > room else kept

    @property
    def mean(self) -> float:
        return self._sum / self._count

    @property
    def p99(self) -> float:
        ordered = np.sort(self._top)
        share = self._rank - int(self._rank)
        return float(ordered[0] + share * (ordered[min(1, len(ordered) - 1)] - ordered[0]))


def _lengths(poses: Float64Array) -> Float64Array:
    lengths = np.linalg.norm(poses - poses[:, PARENTS], axis=-1)
    lengths[:, 0] = 0
    return np.asarray(lengths)


def _median_lengths(rows: Rows, seen: BoolArray, together: int = 4) -> Float64Array:
    """Return the median of each limb's length over the frames seen; the lengths of ``together`` limbs are kept at a time."""
    medians = np.zeros(NUM_JOINTS)
    for first in range(1, NUM_JOINTS, together):
        joints = np.arange(first, min(first + together, NUM_JOINTS))
        found, count = np.empty((len(joints), np.count_nonzero(seen))), 0
        for start in range(0, len(seen), BLOCK):
            stop = min(start + BLOCK, len(seen))
            poses = rows(start, stop)[seen[start:stop]]
            found[:, count : count + len(poses)] = np.linalg.norm(poses[:, joints] - poses[:, _PARENTS[joints]], axis=-1).T
            count += len(poses)
        medians[joints] = np.median(found, axis=1)
    return medians


def rest_offset(node: RigNode, lengths_m: Float64Array) -> Float64Array:
    """Return the place of a node in the axes of its parent, ``(3,)`` or ``(T, 3)`` as the lengths are."""
    if node.parent < 0 or RIG[node.parent].joint == node.joint:
        return np.zeros((*lengths_m.shape[:-1], 3))
    return lengths_m[..., node.joint, None] * REST_DIRECTIONS[node.joint]


def _placed(raw: Float64Array, lengths: Float64Array) -> Float64Array:
    """Return joints ``(T, 17, 3)`` at the given distance from their parents, each towards its lifted place."""
    joints = raw.copy()
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        way = _units(raw[:, joint] - joints[:, parent], REST_DIRECTIONS[joint])
        joints[:, joint] = joints[:, parent] + lengths[:, joint, None] * way
    return joints


def _local_turns(joints: Float64Array, fps: float) -> Iterator[Float64Array]:
    """Yield the rotation of every node in the axes of its parent, ``(T, 3, 3)``, in the order of ``RIG``."""
    turns: dict[int, Float64Array] = {}
    for number, node in enumerate(RIG):
        parent = turns.get(node.parent, np.eye(3))
        turns[number] = _turn(joints, node, parent, fps)
        yield _transposed(parent) @ turns[number]
        for done in [other for other in turns if max(children_of(RIG[other]), default=0) <= number]:
            del turns[done]  # a long clip's rotations are large


def _turn(joints: Float64Array, node: RigNode, parent: Float64Array, fps: float) -> Float64Array:
    """Return the rotation of a node from the rest pose, ``(T, 3, 3)``, given its parent's."""
    if node.name in ("Hips", "Spine1"):
        return _trunk(joints, node)
    if node.aims_at is None:
        return parent
    rest = REST_DIRECTIONS[node.aims_at]
    way = _units(joints[:, node.aims_at] - joints[:, node.joint], rest)
    turn = parent @ _swing(rest, _applied(_transposed(parent), way))
    if node.name in _HINGES:
        bend = np.cross(way, _units(joints[:, node.aims_at + 1] - joints[:, node.aims_at], rest))
        turn = turn @ _twist(_applied(_transposed(turn), bend), rest, np.array(_HINGES[node.name], np.float64), fps)
    return turn


def _trunk(joints: Float64Array, node: RigNode) -> Float64Array:
    """Return the rotation of the pelvis or the chest: x along the hips or shoulders, y up the spine as far as x allows."""
    names = ("right_hip", "left_hip", "pelvis", "spine")
    if node.name == "Spine1":
        names = ("right_shoulder", "left_shoulder", "spine", "thorax")
    right, left, below, above = (joints[:, JOINT_NAMES.index(name)] for name in names)
    across = _units(left - right, np.array([1.0, 0, 0]))
    up = above - below
    up = _units(up - (up * across).sum(axis=-1, keepdims=True) * across, np.array([0, 1.0, 0]))
    return np.stack([across, up, np.cross(across, up)], axis=-1)


def _units(vectors: Float64Array, otherwise: Float64Array) -> Float64Array:
    """Return vectors ``(T, 3)`` at length 1; those without length become ``otherwise``."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(lengths > 1e-9, vectors / np.maximum(lengths, 1e-9), otherwise)


def _swing(rest: Float64Array, ways: Float64Array) -> Float64Array:
    """Return the smallest rotations ``(T, 3, 3)`` that take the unit vector ``rest`` to the unit vectors ``ways``."""
    half = rest + ways  # the turn is two reflections: across rest, then across the vector half way
    outer = half[:, :, None] * half[:, None, :] / np.maximum((half**2).sum(axis=-1), 1e-12)[:, None, None]
    turn = np.eye(3) + 2 * (ways[:, :, None] * rest - outer)
    about = np.roll(np.abs(rest), 1)  # an axis across the limb, for the limb that points backwards
    return np.where((ways @ rest < -1 + 1e-9)[:, None, None], 2 * np.outer(about, about) - np.eye(3), turn)


def _twist(bends: Float64Array, rest: Float64Array, hinge: Float64Array, fps: float) -> Float64Array:
    """Return rotations ``(T, 3, 3)`` about ``rest`` that bring ``hinge`` to the axis of the bend, smoothed in time."""
    axis_of_bend = smoothed(bends, _HINGE_SMOOTHING_S * fps) + _HINGE_PRIOR * hinge
    angle = np.arctan2(axis_of_bend @ np.cross(rest, hinge), axis_of_bend @ hinge)
    cross = np.cross(rest, np.eye(3)).T  # cross @ v is rest x v
    return np.eye(3) + np.sin(angle)[:, None, None] * cross + (1 - np.cos(angle))[:, None, None] * (cross @ cross)


def _applied(turns: Float64Array, vectors: Float64Array) -> Float64Array:
    return (turns @ vectors[..., None])[..., 0]


def _transposed(turns: Float64Array) -> Float64Array:
    return turns.swapaxes(-1, -2)
