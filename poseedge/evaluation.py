"""Lifter against data set: errors by action and joint. Lifter against lifter: parity in millimetres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge import metrics
from poseedge.data.h36m import PoseDataset, PoseSequence
from poseedge.data.keypoints import with_confidence
from poseedge.data.windows import mirror_joints, mirror_keypoints
from poseedge.errors import DataError
from poseedge.lifter import Lifter, LifterSpec
from poseedge.protocols import ONCE, Plan, Protocol, batch_credited, plan, settled
from poseedge.skeleton import JOINT_NAMES, ROOT

Array = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
Refine = Callable[[PoseSequence, Indices, Array], Array]  # sequence, frames (N,), lifted poses (N, 17, 3) -> better ones
CHUNK, CHUNK_FRAMES = 128, 3000  # windows lifted per call where the batch is free, and frames: MixSTE takes 1 MB for each


@dataclass(frozen=True)
class Limits:
    """How far an artefact may be from the one it came from, millimetres, and how many times as much it may jitter."""

    delta_mpjpe_mm: float
    mean_mm: float
    p99_mm: float
    jitter_ratio: float | None = None  # holds where jitter can be told: on consecutive frames


@dataclass(frozen=True)
class Prediction:
    """What a lifter made of one sequence: ``poses_m (n, 17, 3)`` of its frames ``frames (n,)``."""

    sequence: PoseSequence
    frames: Indices
    poses_m: Array

    @property
    def target_m(self) -> Array:
        """Ground truth of the same frames."""
        return self.sequence.relative_m[self.frames]


def predict(
    lifter: Lifter,
    dataset: PoseDataset,
    flip: bool = False,
    every: int = 1,
    advance: Callable[[int], None] = lambda _: None,
    protocol: Protocol = ONCE,
    refine: Refine | None = None,
) -> list[Prediction]:
    """Lift every ``every``-th frame of each sequence, exactly once and with the root at zero unless ``protocol`` differs.

    ``flip`` averages with the un-mirrored result of the mirrored window, unless the lifter does so itself. ``refine`` changes the
    lifted poses before the root is settled. ``advance`` is told how many frames were finished. A lifter that takes a
    confidence is told 1.0 of every keypoint.
    """
    predictions = []
    for sequence in dataset.sequences:
        work = plan(sequence, lifter.spec, protocol, every)
        poses: Array = np.empty((len(work.frames), len(JOINT_NAMES), 3), np.float32)
        for windows, slots, rows in passes(work, lifter.spec):
            keypoints = with_confidence(sequence.keypoints[windows], lifter.spec.channels)
            poses[rows] = lift(lifter, keypoints, flip)[slots]
            advance(len(rows))
        if refine is not None:
            poses = refine(sequence, work.frames, poses)
        predictions.append(Prediction(sequence, work.frames, settled(poses, sequence, work.frames, protocol)))
    return predictions


def lift(lifter: Lifter, keypoints: Array, flip: bool) -> Array:
    """Return the poses of windows; with ``flip`` those of the flip test, unless the lifter averages by itself."""
    poses: Array = lifter(keypoints)
    if flip and lifter.spec.flip != "inside":
        poses = (poses + mirror_joints(lifter(mirror_keypoints(keypoints)))) / 2
    return poses


def passes(work: Plan, spec: LifterSpec) -> Iterator[tuple[Indices, tuple[Indices, Indices], Indices]]:
    """Yield the calls of a plan: windows to lift, (window, slot) to take of them, rows of the frames that these fill."""
    frames = spec.frames * (2 if spec.flip == "inside" else 1)
    chunk = min(CHUNK, max(CHUNK_FRAMES // frames, 1))
    for start in range(0, len(work.windows), chunk):
        rows = np.flatnonzero((work.where >= start) & (work.where < start + chunk))
        if len(rows):
            yield work.windows[start : start + chunk], (work.where[rows] - start, work.slots[rows]), rows


def score(predictions: list[Prediction], every: int = 1, p2_batch: int = 0) -> dict[str, Any]:
    """Return the errors of ``predictions`` against the ground truth, millimetres; PCK and AUC in percent.

    ``mpjpe_mm`` and ``p_mpjpe_mm`` weigh every frame alike; ``action_mean_*`` is the papers' unweighted mean over
    actions. The velocity error needs consecutive frames: it is None when ``every`` is not 1 or no sequence has two frames.
    ``p2_batch`` poses at a time, P-MPJPE by action is taken as ``batch_credited`` does.
    """
    predictions = [p for p in predictions if len(p.frames)]
    if not predictions:
        raise DataError("no frame of these sequences counts", "choose other subjects")
    joints = np.concatenate([metrics.joint_distances(p.poses_m, p.target_m) for p in predictions])
    aligned = np.concatenate([metrics.p_mpjpe_per_pose(p.poses_m, p.target_m) for p in predictions])
    actions = np.repeat([p.sequence.category for p in predictions], [len(p.frames) for p in predictions])
    credited = batch_credited(aligned, actions, p2_batch) if p2_batch else aligned
    by_action = {
        str(action): {
            "mpjpe_mm": millimetres(joints[actions == action].mean()),
            "p_mpjpe_mm": millimetres(credited[actions == action].mean()),
            "frames": int((actions == action).sum()),
        }
        for action in np.unique(actions)
    }
    moving = [p for p in predictions if len(p.frames) > 1 and p.sequence.counted.all()]
    steps = [len(p.frames) - 1 for p in moving]
    return {
        "frames": len(joints),
        "mpjpe_mm": millimetres(joints.mean()),
        "p_mpjpe_mm": millimetres(aligned.mean()),
        "mpjve_mm": millimetres(np.average([metrics.mpjve(p.poses_m, p.target_m) for p in moving], weights=steps))
        if every == 1 and moving
        else None,
        "pck_percent": metrics.pck_of(joints),
        "auc_percent": metrics.auc_of(joints),
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


def jitter(predictions: list[Prediction]) -> float:
    """Return the mean second difference over consecutive frames, millimetres per frame squared."""
    moving = [p for p in predictions if len(p.frames) > 2 and p.sequence.counted.all()]
    values = [metrics.jitter(np.delete(p.poses_m, ROOT, axis=1)) for p in moving]
    return millimetres(np.average(values, weights=[len(p.frames) - 2 for p in moving]))


def by_joint(distances_m: Array) -> dict[str, float]:
    """Return the mean of ``(N, 17)`` distances by joint name, millimetres."""
    return {name: millimetres(value) for name, value in zip(JOINT_NAMES, distances_m.mean(axis=0), strict=True)}


def millimetres(metres: Any) -> float:
    """Metres to millimetres, as a plain float."""
    return float(metres) * 1000
