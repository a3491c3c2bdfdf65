"""How far predicted poses are from the truth: the metrics of Human3.6M and MPI-INF-3DHP.

``pred`` and ``target`` are ``(N, J, 3)`` in metres, N poses of J joints, the root counted like any other joint; distances
come back in metres, shares in percent. Everything is computed in float64. Arrays of another shape, empty ones and
NaN or infinity raise ``DataError``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poseedge.arrays import Float64Array, FloatArray
from poseedge.errors import DataError

# 0, 1, ..., 149 mm; the grid of the lifting papers, finer than that of the MPI-INF-3DHP script.
AUC_THRESHOLDS_M = np.arange(150) / 1000
PCK_THRESHOLD_M = 0.150


def mpjpe(pred: FloatArray, target: FloatArray) -> float:
    """Mean per-joint position error, metres (Ionescu et al. 2014, protocol 1).

    >>> target = np.zeros((1, 2, 3))
    >>> mpjpe(target + [0.03, 0, 0.04], target)
    0.05
    """
    return float(joint_distances(pred, target).mean())


def p_mpjpe(pred: FloatArray, target: FloatArray) -> float:
    """MPJPE after the best rotation, scale and shift of each pose, metres (protocol 2). See ``procrustes_aligned``."""
    return float(p_mpjpe_per_pose(pred, target).mean())


def n_mpjpe(pred: FloatArray, target: FloatArray) -> float:
    """MPJPE after the best scale of each pose, metres (Rhodin et al. 2018, protocol 3); poses are not centred.

    An all-zero prediction has no best scale; it stays zero.
    """
    return float(n_mpjpe_per_pose(pred, target).mean())


def mpjve(pred: FloatArray, target: FloatArray) -> float:
    """Mean per-joint velocity error over the N consecutive frames of one sequence, metres per frame (Pavllo et al. 2019)."""
    pred, target = _pair(pred, target)
    _at_least(2, pred, "a velocity")
    return mpjpe(np.diff(pred, axis=0), np.diff(target, axis=0))


def pck(pred: FloatArray, target: FloatArray, threshold_m: float = PCK_THRESHOLD_M) -> float:
    """Percentage of joints nearer than ``threshold_m`` (strictly) to their true place (Mehta et al. 2017)."""
    return pck_of(joint_distances(pred, target), threshold_m)


def auc(pred: FloatArray, target: FloatArray) -> float:
    """Mean of ``pck`` over the thresholds 0, 1, ..., 149 mm, percent.

    The official MPI-INF-3DHP script uses a coarser grid, so its numbers are near these but not the same.
    """
    return auc_of(joint_distances(pred, target))


def pck_of(distances_m: FloatArray, threshold_m: float = PCK_THRESHOLD_M) -> float:
    """Return ``pck`` of distances that are known already."""
    return float(100 * (distances_m < threshold_m).mean())


def auc_of(distances_m: FloatArray) -> float:
    """Return ``auc`` of distances that are known already."""
    ordered = np.sort(distances_m, axis=None)
    return float(100 * np.searchsorted(ordered, AUC_THRESHOLDS_M, side="left").mean() / ordered.size)


def jitter(poses: FloatArray) -> float:
    """Mean length of the second difference over the N consecutive frames of one sequence, metres per frame squared.

    Steady motion has none, whatever its speed:

    >>> jitter(np.arange(5.0)[:, None, None] * np.ones((5, 17, 3)))
    0.0
    """
    poses = _poses(poses, "poses")
    _at_least(3, poses, "a second difference")
    return float(np.linalg.norm(np.diff(poses, n=2, axis=0), axis=-1).mean())


def joint_distances(pred: FloatArray, target: FloatArray) -> Float64Array:
    """Return the distance of every joint from its true place, ``(N, J)`` metres."""
    pred, target = _pair(pred, target)
    return np.asarray(np.linalg.norm(pred - target, axis=-1))


def n_mpjpe_per_pose(pred: FloatArray, target: FloatArray) -> Float64Array:
    """Return N-MPJPE of each pose, ``(N,)`` metres."""
    pred, target = _pair(pred, target)
    power = (pred * pred).sum(axis=(1, 2))
    scale = (target * pred).sum(axis=(1, 2)) / np.where(power > 0, power, 1)
    return np.asarray(joint_distances(scale[:, None, None] * pred, target).mean(axis=-1))


def p_mpjpe_per_pose(pred: FloatArray, target: FloatArray) -> Float64Array:
    """Return P-MPJPE of each pose, ``(N,)`` metres."""
    return np.asarray(joint_distances(procrustes_aligned(pred, target), target).mean(axis=-1))


def procrustes_aligned(pred: FloatArray, target: FloatArray) -> Float64Array:
    """Return ``pred`` turned, scaled and shifted per pose to lie nearest to ``target``, ``(N, J, 3)`` metres.

    A reflection is never used. A prediction whose joints all coincide goes to the centre of its target; a target whose
    joints all coincide raises ``DataError``. Source: Umeyama 1991.
    """
    pred, target = _pair(pred, target)
    from_centre, shape = _centred(pred), _centred(target)
    size, true_size = (np.linalg.norm(x, axis=(1, 2), keepdims=True) for x in (from_centre, shape))
    if not true_size.all():
        raise DataError(f"target: all joints of pose {int(np.argmin(true_size))} coincide", "P-MPJPE needs a pose to align to")
    from_centre = from_centre / np.where(size > 0, size, 1)
    u, stretch, vt = np.linalg.svd(np.swapaxes(from_centre, 1, 2) @ (shape / true_size))
    handedness = np.sign(np.linalg.det(u @ vt))
    u[:, :, -1] *= handedness[:, None]
    stretch[:, -1] *= handedness
    scale = stretch.sum(axis=-1)[:, None, None] * true_size
    centre = target.mean(axis=1, keepdims=True)
    return np.asarray(scale * (from_centre @ (u @ vt)) + centre)


def action_means(values: FloatArray, actions: Sequence[str]) -> dict[str, float]:
    """Return the mean of ``values (N,)`` over the poses of each action; ``actions[i]`` is the action of ``values[i]``.

    >>> action_means(np.array([1.0, 3.0, 5.0]), ["Walking", "Walking", "Eating"])
    {'Eating': 5.0, 'Walking': 2.0}
    """
    if len(actions) != len(values) or not len(values):
        raise DataError(f"expected one action for each of {len(values)} values, found {len(actions)}")
    names, group = np.unique(np.asarray(actions), return_inverse=True)
    means = np.bincount(group, weights=values) / np.bincount(group)
    return {str(name): float(mean) for name, mean in zip(names, means, strict=True)}


def action_average(values: FloatArray, actions: Sequence[str]) -> float:
    """Return the unweighted mean over actions of ``action_means``: the number that Human3.6M tables end with.

    >>> action_average(np.array([1.0, 3.0, 5.0]), ["Walking", "Walking", "Eating"])
    3.5
    """
    return float(np.mean(list(action_means(values, actions).values())))


def _pair(pred: FloatArray, target: FloatArray) -> tuple[Float64Array, Float64Array]:
    pred, target = _poses(pred, "pred"), _poses(target, "target")
    if pred.shape != target.shape:
        raise DataError(f"pred {pred.shape} and target {target.shape} differ in shape", "compare the same frames and joints")
    return pred, target


def _poses(poses: FloatArray, name: str) -> Float64Array:
    array = np.asarray(poses, np.float64)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise DataError(f"{name}: expected poses (N, J, 3), found {array.shape}", "reshape (B, T, J, 3) to (B*T, J, 3)")
    if not np.isfinite(array).all():
        raise DataError(f"{name}: NaN or infinity in pose {int(np.argwhere(~np.isfinite(array))[0, 0])}")
    return array


def _at_least(frames: int, poses: Float64Array, purpose: str) -> None:
    if len(poses) < frames:
        raise DataError(f"{purpose} needs {frames} frames of one sequence, found {len(poses)}")


def _centred(poses: Float64Array) -> Float64Array:
    # From the first joint before from the mean: joints that coincide then differ by exactly zero.
    offsets = poses - poses[:, :1]
    return np.asarray(offsets - offsets.mean(axis=1, keepdims=True))
