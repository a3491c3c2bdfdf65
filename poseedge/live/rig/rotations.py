"""Rotations over time in the forms that animation files want: without jumps from one frame to the next."""

from __future__ import annotations

import numpy as np

from poseedge.arrays import Float64Array


def quaternions(turns: Float64Array, before: Float64Array | None = None) -> Float64Array:
    """Return rotation matrices ``(T, 3, 3)`` as unit quaternions ``(T, 4)``, w x y z, each in the half space of the last.

    ``before (4,)``: the one that the first follows.
    """
    r = turns
    trace = r[:, 0, 0] + r[:, 1, 1] + r[:, 2, 2]
    outer = np.empty((len(r), 4, 4))  # four times the quaternion's outer product with itself
    outer[:, 0, 0] = 1 + trace
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        outer[:, i + 1, i + 1] = 1 + 2 * r[:, i, i] - trace
        outer[:, 0, i + 1] = outer[:, i + 1, 0] = r[:, k, j] - r[:, j, k]
        outer[:, i + 1, j + 1] = outer[:, j + 1, i + 1] = r[:, i, j] + r[:, j, i]
    largest = np.diagonal(outer, axis1=1, axis2=2).argmax(axis=1)
    found = outer[np.arange(len(r)), largest]  # the row of the largest element loses no digits
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    turned_over = (found[1:] * found[:-1]).sum(axis=1) < 0
    found[1:][np.cumsum(turned_over) % 2 == 1] *= -1
    return found if before is None or found[0] @ before >= 0 else -found


def euler_deg(turns: Float64Array, order: str, before: Float64Array | None = None) -> Float64Array:
    """Return angles ``(T, 3)`` in degrees about the axes of ``order``, such as ``ZXY``: the turns are their product in order.

    Of the two sets of angles that give the same turn each frame has the one nearer to the last frame's, and full turns are
    added where that avoids a jump. ``before (3,)``: the angles that the first follow.
    """
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    middle = np.arcsin(np.clip(sign * turns[:, i, k], -1, 1))
    outer = np.arctan2(-sign * turns[:, j, k], turns[:, k, k])
    inner = np.arctan2(-sign * turns[:, i, j], turns[:, i, i])
    angles = np.stack([outer, middle, inner], axis=1)
    other = np.stack([outer + np.pi, np.pi - middle, inner + np.pi], axis=1)
    if before is not None:
        last = np.deg2rad(before)[None]
        angles, other = np.concatenate([last, angles]), np.concatenate([last, other])
    stay = _apart(angles[1:], angles[:-1])
    change = _apart(other[1:], angles[:-1])
    changed = np.concatenate([[False], np.cumsum(change < stay) % 2 == 1])
    found = np.rad2deg(np.unwrap(np.where(changed[:, None], other, angles), axis=0))
    return np.asarray(found if before is None else found[1:])


def _apart(one: Float64Array, two: Float64Array) -> Float64Array:
    """Return by how much angles ``(N, 3)`` differ, full turns aside, ``(N,)``."""
    return np.abs((one - two + np.pi) % (2 * np.pi) - np.pi).sum(axis=1)
