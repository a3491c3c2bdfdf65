"""Lifter against lifter: how far two artefacts' poses are apart, in millimetres."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from poseedge import metrics
from poseedge.evaluation.predict import Prediction
from poseedge.evaluation.score import by_joint, jitter, millimetres
from poseedge.skeleton import ROOT


@dataclass(frozen=True)
class Limits:
    """How far an artefact may be from the one it came from, millimetres, and how many times as much it may jitter."""

    delta_mpjpe_mm: float
    mean_mm: float
    p99_mm: float
    jitter_ratio: float | None = None  # holds where jitter can be told: on consecutive frames


def parity(this: list[Prediction], against: list[Prediction], limits: Limits | None = None, every: int = 1) -> dict[str, Any]:
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
    result: dict[str, Any] = {
        "mpjpe_mm": theirs,
        "delta_mpjpe_mm": ours - theirs,
        "distance_mm": {
            "mean": millimetres(moved.mean()),
            "p99": millimetres(np.percentile(moved, 99)),
            "max": millimetres(moved.max()),
        },
        "jitter_mm": {"this": jitter(this), "against": jitter(against)} if every == 1 and moving else None,
        "by_joint_mm": by_joint(distances),
        "limits": None,
        "passed": None,
    }
    if limits is not None:
        result["limits"] = {key: value for key, value in asdict(limits).items() if value is not None}
        result["passed"] = bool(
            abs(result["delta_mpjpe_mm"]) <= limits.delta_mpjpe_mm
            and result["distance_mm"]["mean"] <= limits.mean_mm
            and result["distance_mm"]["p99"] <= limits.p99_mm
            and is_steady(result["jitter_mm"], limits.jitter_ratio)
        )
    return result


def is_steady(jitter_mm: dict[str, float] | None, ratio: float | None) -> bool:
    """Say whether this artefact jitters at most ``ratio`` times as much as the other, as far as either is known."""
    return jitter_mm is None or ratio is None or jitter_mm["this"] <= ratio * jitter_mm["against"]
