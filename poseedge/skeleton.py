"""The 17-joint Human3.6M skeleton that every lifter here uses."""

from __future__ import annotations

import numpy as np

from poseedge.arrays import Float64Array

JOINT_NAMES = (
    "pelvis",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "spine",
    "thorax",
    "neck_nose",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
)
NUM_JOINTS = len(JOINT_NAMES)
ROOT = 0
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
LEFT = (4, 5, 6, 11, 12, 13)
RIGHT = (1, 2, 3, 14, 15, 16)
BONES = tuple((joint, parent) for joint, parent in enumerate(PARENTS) if parent >= 0)

# The joints of the 32-joint Human3.6M mocap skeleton that make up the 17, in order.
KEPT_OF_32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)


def mirror_permutation() -> list[int]:
    """Return the joint order of a mirrored skeleton: left and right exchanged."""
    order = list(range(NUM_JOINTS))
    for left, right in zip(LEFT, RIGHT, strict=True):
        order[left], order[right] = right, left
    return order


MIRROR = mirror_permutation()


def bone_adjacency() -> Float64Array:
    """Return the symmetric 0/1 ``(17, 17)`` bone matrix without self loops."""
    adjacency = np.zeros((NUM_JOINTS, NUM_JOINTS))
    for joint, parent in BONES:
        adjacency[joint, parent] = adjacency[parent, joint] = 1.0
    return adjacency
