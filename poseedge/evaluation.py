"""Lifter against data set: errors by action and joint. Lifter against lifter: parity in millimetres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge import metrics
from poseedge.data.h36m import PoseDataset, PoseSequence
from poseedge.data.keypoints import with_confidence
from poseedge.data.windows import centered, mirror_joints, mirror_keypoints, tail_aligned
from poseedge.lifter import Lifter, LifterSpec
from poseedge.skeleton import JOINT_NAMES, ROOT

Array = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
CHUNK, CHUNK_FRAMES = 128, 3000  # windows lifted per call where the batch is free, and frames: MixSTE takes 1 MB for each


@dataclass(frozen=True)
class Limits:
    """How far an artefact may be from the one it came from, millimetres."""

    delta_mpjpe_mm: float
    mean_mm: float
    p99_mm: float


@dataclass(frozen=True)
class Prediction:
    """What a lifter made of one sequence: ``poses_m (n, 17, 3)`` of its frames ``frames (n,)``, root at zero."""

    sequence: PoseSequence
    frames: Indices
    poses_m: Array

    @property
    def target_m(self) -> Array:
        """Ground truth of the same frames."""
        return self.sequence.relative_m[self.frames]


def predict(
    lifter: Lifter, dataset: PoseDataset, flip: bool = False, every: int = 1, advance: Callable[[int], None] = lambda _: None
) -> list[Prediction]:
    """Lift every ``every``-th frame of each sequence exactly once, root set to zero as the papers do.

    ``flip`` averages with the un-mirrored result of the mirrored window, which doubles the work. ``advance`` is told
    how many frames were finished. A lifter that takes a confidence is told 1.0 of every keypoint.
    """
    predictions = []
    for sequence in dataset.sequences:
        frames = np.arange(0, len(sequence), every)
        poses = np.empty((len(frames), len(JOINT_NAMES), 3), np.float32)
        for window, slots, rows in passes(len(sequence), frames, lifter.spec):
            keypoints = with_confidence(sequence.keypoints[window], lifter.spec.channels)
            lifted: Array = lifter(keypoints)
            if flip:
                lifted = (lifted + mirror_joints(lifter(mirror_keypoints(keypoints)))) / 2
            poses[rows] = lifted[slots]
            advance(len(rows))
        poses[:, ROOT] = 0
        predictions.append(Prediction(sequence, frames, poses))
    return predictions


def passes(length: int, frames: Indices, spec: LifterSpec) -> list[tuple[Indices, tuple[Indices, Indices], Indices]]:
    """Plan the calls for ``frames`` of a sequence: windows to lift, (window, slot) to take, rows that these fill.

    A network that gives every frame of its window is run over consecutive windows, each frame taken from the first
    window that holds it; any other is run once per frame, and its centre slot taken.
    """
    if len(spec.output_frames) < spec.frames or spec.frames == 1:
        windows = centered(length, spec.frames)[frames]
        slots = np.full(len(frames), spec.center_slot)
        where = np.arange(len(frames))
    else:
        windows = tail_aligned(length, spec.frames)
        where = np.array([int(np.argmax((windows == frame).any(axis=1))) for frame in frames], np.int64)
        slots = np.array([int(np.argmax(windows[w] == frame)) for w, frame in zip(where, frames, strict=True)], np.int64)
    plan = []
    chunk = min(CHUNK, max(CHUNK_FRAMES // spec.frames, 1))
    for start in range(0, len(windows), chunk):
        rows = np.flatnonzero((where >= start) & (where < start + chunk))
        if len(rows):
            plan.append((windows[start : start + chunk], (where[rows] - start, slots[rows]), rows))
    return plan


def score(predictions: list[Prediction], every: int = 1) -> dict[str, Any]:
    """Return the errors of ``predictions`` against the ground truth, millimetres.

    ``mpjpe_mm`` and ``p_mpjpe_mm`` weigh every frame alike; ``action_mean_*`` is the papers' unweighted mean over
    actions. The velocity error needs consecutive frames: it is None when ``every`` is not 1 or no sequence has two frames.
    """
    distances = [metrics.joint_distances(p.poses_m, p.target_m) for p in predictions]
    aligned = [metrics.p_mpjpe_per_pose(p.poses_m, p.target_m) for p in predictions]
    actions = np.concatenate([[p.sequence.category] * len(p.frames) for p in predictions])
    joints, per_pose = np.concatenate(distances), np.concatenate(aligned)
    by_action = {
        str(action): {
            "mpjpe_mm": millimetres(joints[actions == action].mean()),
            "p_mpjpe_mm": millimetres(per_pose[actions == action].mean()),
            "frames": int((actions == action).sum()),
        }
        for action in np.unique(actions)
    }
    moving = [p for p in predictions if len(p.frames) > 1]
    steps = [len(p.frames) - 1 for p in moving]
    return {
        "frames": len(joints),
        "mpjpe_mm": millimetres(joints.mean()),
        "p_mpjpe_mm": millimetres(per_pose.mean()),
        "mpjve_mm": millimetres(np.average([metrics.mpjve(p.poses_m, p.target_m) for p in moving], weights=steps))
        if every == 1 and moving
        else None,
        "action_mean_mpjpe_mm": float(np.mean([row["mpjpe_mm"] for row in by_action.values()])),
        "action_mean_p_mpjpe_mm": float(np.mean([row["p_mpjpe_mm"] for row in by_action.values()])),
        "by_action": by_action,
        "by_joint_mm": by_joint(joints),
    }


def parity(this: list[Prediction], against: list[Prediction], limits: Limits | None = None, every: int = 1) -> dict[str, Any]:
    """Return how far two artefacts' predictions of the same frames are apart, millimetres.

    MPJPE alone hides damage, since an error in a random direction hardly changes it; so the distance between the two
    (over the 16 joints that are not the root) and the jitter stand beside it. ``passed`` is None without ``limits``.
    """
    distances = np.concatenate([metrics.joint_distances(a.poses_m, b.poses_m) for a, b in zip(this, against, strict=True)])
    moved = np.delete(distances, ROOT, axis=1)
    moving = any(len(p.frames) > 2 for p in this)
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
        result["limits"] = {"delta_mpjpe_mm": limits.delta_mpjpe_mm, "mean_mm": limits.mean_mm, "p99_mm": limits.p99_mm}
        result["passed"] = bool(
            abs(result["delta_mpjpe_mm"]) <= limits.delta_mpjpe_mm
            and result["distance_mm"]["mean"] <= limits.mean_mm
            and result["distance_mm"]["p99"] <= limits.p99_mm
        )
    return result


def jitter(predictions: list[Prediction]) -> float:
    """Return the mean second difference over consecutive frames, millimetres per frame squared."""
    moving = [p for p in predictions if len(p.frames) > 2]
    values = [metrics.jitter(np.delete(p.poses_m, ROOT, axis=1)) for p in moving]
    return millimetres(np.average(values, weights=[len(p.frames) - 2 for p in moving]))


def by_joint(distances_m: Array) -> dict[str, float]:
    """Return the mean of ``(N, 17)`` distances by joint name, millimetres."""
    return {name: millimetres(value) for name, value in zip(JOINT_NAMES, distances_m.mean(axis=0), strict=True)}


def millimetres(metres: Any) -> float:
    """Metres to millimetres, as a plain float."""
    return float(metres) * 1000
