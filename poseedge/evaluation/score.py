"""Predictions against the ground truth: errors by action and joint."""

from __future__ import annotations

from typing import Any

import numpy as np

from poseedge import metrics
from poseedge.arrays import FloatArray
from poseedge.errors import DataError
from poseedge.evaluation.predict import Prediction
from poseedge.evaluation.protocols import ONCE, Protocol, batch_credited
from poseedge.evaluation.results import ActionErrors, Score
from poseedge.skeleton import JOINT_NAMES, ROOT


def score(predictions: list[Prediction], every: int = 1, p2_batch: int = 0, protocol: Protocol = ONCE) -> Score:
    """Return the errors of ``predictions`` against the ground truth, millimetres; PCK and AUC in percent.

    ``mpjpe_mm`` and ``p_mpjpe_mm`` weigh every frame alike; ``action_mean_*`` is the papers' unweighted mean over
    actions. The velocity error needs consecutive frames: it is None when ``every`` is not 1 or no sequence has two frames.
    ``p2_batch`` poses at a time, P-MPJPE by action is taken as ``batch_credited`` does. ``protocol`` says how sequences weigh in
    a velocity error.
    """
    predictions = [p for p in predictions if len(p.frames)]
    if not predictions:
        raise DataError("no frame of these sequences counts", "choose other subjects")
    joints = np.concatenate([metrics.joint_distances(p.poses_m, p.target_m) for p in predictions])
    scaled = np.concatenate([metrics.n_mpjpe_per_pose(p.poses_m, p.target_m) for p in predictions])
    aligned = np.concatenate([metrics.p_mpjpe_per_pose(p.poses_m, p.target_m) for p in predictions])
    actions = np.repeat([p.sequence.category for p in predictions], [len(p.frames) for p in predictions])
    credited = batch_credited(aligned, actions, p2_batch) if p2_batch else aligned
    moving = predictions if every == 1 else []
    by_action = {
        str(action): ActionErrors(
            mpjpe_mm=millimetres(joints[actions == action].mean()),
            p_mpjpe_mm=millimetres(credited[actions == action].mean()),
            n_mpjpe_mm=millimetres(scaled[actions == action].mean()),
            mpjve_mm=velocity_error([p for p in moving if p.sequence.category == action], protocol),
            frames=int((actions == action).sum()),
        )
        for action in np.unique(actions)
    }
    velocities = [row.mpjve_mm for row in by_action.values() if row.mpjve_mm is not None]
    return Score(
        frames=len(joints),
        mpjpe_mm=millimetres(joints.mean()),
        p_mpjpe_mm=millimetres(aligned.mean()),
        n_mpjpe_mm=millimetres(scaled.mean()),
        mpjve_mm=velocity_error(moving, protocol),
        pck_percent=metrics.pck_of(joints),
        auc_percent=metrics.auc_of(joints),
        action_mean_mpjpe_mm=float(np.mean([row.mpjpe_mm for row in by_action.values()])),
        action_mean_p_mpjpe_mm=float(np.mean([row.p_mpjpe_mm for row in by_action.values()])),
        action_mean_n_mpjpe_mm=float(np.mean([row.n_mpjpe_mm for row in by_action.values()])),
        action_mean_mpjve_mm=float(np.mean(velocities)) if velocities else None,
        by_action=by_action,
        by_joint_mm=by_joint(joints),
    )


def velocity_error(predictions: list[Prediction], protocol: Protocol = ONCE) -> float | None:
    """Return MPJVE over sequences, millimetres per frame; None if none of them has two consecutive frames."""
    moving = [p for p in predictions if len(p.frames) > 1 and p.sequence.counted.all()]
    if not moving:
        return None
    weights = [len(p.frames) - (0 if protocol.velocity_by_frames else 1) for p in moving]
    return millimetres(np.average([metrics.mpjve(p.poses_m, p.target_m) for p in moving], weights=weights))


def mean_jitter(predictions: list[Prediction]) -> float:
    """Return the mean second difference over consecutive frames, millimetres per frame squared."""
    moving = [p for p in predictions if len(p.frames) > 2 and p.sequence.counted.all()]
    values = [metrics.jitter(np.delete(p.poses_m, ROOT, axis=1)) for p in moving]
    return millimetres(np.average(values, weights=[len(p.frames) - 2 for p in moving]))


def by_joint(distances_m: FloatArray) -> dict[str, float]:
    """Return the mean of ``(N, 17)`` distances by joint name, millimetres."""
    return {name: millimetres(value) for name, value in zip(JOINT_NAMES, distances_m.mean(axis=0), strict=True)}


def millimetres(metres: Any) -> float:
    """Metres to millimetres, as a plain float."""
    return float(metres) * 1000
