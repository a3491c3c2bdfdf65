"""Arms and legs that are not seen: where they are held, and how much of a person must be seen for a pose.

Trunk and head carry a pose, and one whole leg tells the person's size. An arm, or the other leg, may be missing for as long as it
likes: its joints keep their place beside the shoulder or the hip, and are marked as filled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poseedge.live.types import Flags, Floats
from poseedge.skeleton import JOINT_NAMES, NUM_JOINTS


def _numbers(*names: str) -> list[int]:
    return [JOINT_NAMES.index(name) for name in names]


LEGS = np.array([_numbers(f"{side}_knee", f"{side}_ankle") for side in ("right", "left")])  # (2, 2)
ARMS = np.array([_numbers(f"{side}_elbow", f"{side}_wrist") for side in ("right", "left")])  # (2, 2)
HIPS, SHOULDERS = (np.array(_numbers(f"right_{joint}", f"left_{joint}")) for joint in ("hip", "shoulder"))
LIMBS = np.concatenate([LEGS.ravel(), ARMS.ravel()])  # (8,)
ANCHORS = np.concatenate([np.repeat(HIPS, 2), np.repeat(SHOULDERS, 2)])  # (8,) the joint that each of them moves with
TRUNK = np.setdiff1d(np.arange(NUM_JOINTS), LIMBS)  # (9,) the head is part of it

# Of a hanging arm: from the shoulder, in lengths of the trunk's side (Drillis and Contini 1966).
_HANGING = np.array([0.186, 0.186 + 0.146], np.float32) / np.float32(0.288)


def lacking(missing: Flags) -> Flags:
    """Return which ``missing`` joints ``(17,)`` forbid a pose: those of the trunk, and those of legs if neither is whole."""
    forbid = missing.copy()
    forbid[ARMS] = False
    if not missing[LEGS].any(axis=1).all():
        forbid[LEGS] = False
    return forbid


def lost_s(last_s: npt.NDArray[np.float64], before: float) -> float | None:
    """Return when the first joint was lost that a pose needs and that was last seen before ``before``; None if there is none.

    ``last_s (17,)``: when each joint was last seen. A leg is lost with its first joint; both must be.
    """
    times = [float(time) for time in (last_s[TRUNK].min(), last_s[LEGS].min(axis=1).max()) if time < before]
    return min(times, default=None)


def completed(px: Floats) -> Floats:
    """Return joints ``(17, 2)`` with limbs that were never seen put somewhere: arms hanging down, a leg beside the other."""
    missing = np.isnan(px[:, 0])
    if not missing.any():
        return px
    px = px.copy()
    for arm, shoulder, hip in zip(ARMS, SHOULDERS, HIPS, strict=True):
        hanging = px[shoulder] + _HANGING[:, None] * (px[hip] - px[shoulder])
        px[arm] = np.where(missing[arm, None], hanging, px[arm])
    for side in (0, 1):
        beside = px[LEGS[1 - side]] + (px[HIPS[side]] - px[HIPS[1 - side]])
        px[LEGS[side]] = np.where(missing[LEGS[side], None], beside, px[LEGS[side]])
    return px
