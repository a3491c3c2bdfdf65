"""How far joints are bent."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.skeleton import JOINT_NAMES

_TRUNK = ("thorax", "pelvis")
# By name: the two directions between which the angle lies, each from one joint to another.
_BETWEEN = {
    f"{side}_{name}": [tuple(f"{side}_{joint}" if joint not in _TRUNK else joint for joint in ends) for ends in directions]
    for name, directions in {
        "knee": (("hip", "knee"), ("knee", "ankle")),
        "hip": (_TRUNK, ("hip", "knee")),
        "elbow": (("shoulder", "elbow"), ("elbow", "wrist")),
        "shoulder": (_TRUNK, ("shoulder", "elbow")),
    }.items()
    for side in ("left", "right")
}
ANGLE_NAMES = tuple(_BETWEEN)
_ENDS = np.array([[[JOINT_NAMES.index(joint) for joint in ends] for ends in pair] for pair in _BETWEEN.values()])  # (A, 2, 2)


def joint_angles(pose_m: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the angles ``(..., A)`` of poses ``(..., 17, 3)`` in degrees, 0 to 180, in the order of ``ANGLE_NAMES``.

    Knee and elbow: 0 is straight. Hip and shoulder: between the trunk's way down (thorax to pelvis) and the thigh or upper
    arm, so 0 is a leg or an arm that hangs down. NaN where a limb has no length.
    """
    pose = np.asarray(pose_m, np.float64)
    way = pose[..., _ENDS[..., 1], :] - pose[..., _ENDS[..., 0], :]  # (..., A, 2, 3)
    length = np.linalg.norm(way, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = (way[..., 0, :] * way[..., 1, :]).sum(axis=-1) / length.prod(axis=-1)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
