"""Lifter against lifter: how far two artefacts' poses are apart, in millimetres."""

from __future__ import annotations

import numpy as np

from poseedge import metrics
from poseedge.evaluation.predict import Prediction
from poseedge.evaluation.results import Distance, Jitter, Limits, Parity
from poseedge.evaluation.score import by_joint, mean_jitter, millimetres
from poseedge.skeleton import ROOT


def parity(this: list[Prediction], against: list[Prediction], limits: Limits | None = None, every: int = 1) -> Parity:
    """Return how far two artefacts' predictions of the same frames are apart, millimetres.

    MPJPE alone hides damage, since an error in a random direction hardly changes it; so the distance between the two
    (over the 16 joints that are not the root) and the jitter stand beside it. ``passed`` is None without ``limits``.
    """
    distances = np.concatenate([metrics.joint_distances(a.poses_m, b.poses_m) for a, b in zip(this, against, strict=True)])
    moved = np.delete(distances, ROOT, axis=1)
    moving = any(len(p.frames) > 2 and p.sequence.counted.all() for p in this)
    ours, theirs = (
        millimetres(np.concatenate([metrics.joint_distances(p.poses_m, p.target_m) for p in side]).mean())
        for side in (this, against)
    )
    distance = Distance(mean=millimetres(moved.mean()), p99=millimetres(np.percentile(moved, 99)), max=millimetres(moved.max()))
    shaking = Jitter(this=mean_jitter(this), against=mean_jitter(against)) if every == 1 and moving else None
    return Parity(
        mpjpe_mm=theirs,
        delta_mpjpe_mm=ours - theirs,
        distance_mm=distance,
        jitter_mm=shaking,
        by_joint_mm=by_joint(distances),
        limits=limits,
        passed=None if limits is None else within(limits, ours - theirs, distance, shaking),
    )


def within(limits: Limits, delta_mpjpe_mm: float, distance_mm: Distance, jitter_mm: Jitter | None) -> bool:
    """Say whether all ``limits`` are kept; that of the jitter, as far as either is known."""
    steady = jitter_mm is None or limits.jitter_ratio is None or jitter_mm.this <= limits.jitter_ratio * jitter_mm.against
    return (
        abs(delta_mpjpe_mm) <= limits.delta_mpjpe_mm
        and distance_mm.mean <= limits.mean_mm
        and distance_mm.p99 <= limits.p99_mm
        and steady
    )
