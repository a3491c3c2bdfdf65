"""How often networks that give all frames of their window should be run, and how overlapping windows should be weighed.

    python -m benchmarks strides mixste.pth motionbert.pth --data mocap17

Each window that touches a sequence is lifted once, edges padded; strides and weights are compared on what they say. The model
card's small networks over 27 frames tell it by shares of the window.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.lifted import test_sequences
from benchmarks.options import Data, Every, PageIfAny, Results
from benchmarks.record import RESULTS, grid, record
from poseedge import metrics
from poseedge.arrays import Float64Array
from poseedge.backends.registry import load
from poseedge.data.keypoints import with_confidence
from poseedge.data.types import PoseSequence
from poseedge.errors import PoseedgeError
from poseedge.evaluation.predict import lift_windows
from poseedge.lifter import Lifter
from poseedge.skeleton import ROOT

KEYPOINTS = ("gt", "detected")
WEIGHTS: dict[str, Callable[[int], Float64Array]] = {
    "triangle": lambda frames: np.minimum(np.arange(frames) + 1, frames - np.arange(frames)).astype(np.float64),
    "cosine": lambda frames: np.sin(np.pi * (np.arange(frames) + 0.5) / frames) ** 2,
    "alike": lambda frames: np.ones(frames),
}
SHARES = {"1 frame": 0.0, "1/9": 1 / 9, "1/5": 1 / 5, "1/3": 1 / 3, "1/2": 1 / 2}  # of the window, from one to the next
FOLLOWING = "windows that follow each other"


def measure(
    checkpoint: Annotated[list[Path], typer.Argument(help="networks that give all frames of their window")],
    data: Data,
    every: Every = 16,
    frames: Annotated[int, typer.Option(min=1, help="of each clip, at most")] = 300,
    results: Results = RESULTS,
    page: PageIfAny = None,
) -> None:
    """Measure and record the table."""
    rows: list[dict[str, Any]] = []
    for path in checkpoint:
        lifter = load(path)
        if len(lifter.spec.output_frames) != lifter.spec.frames:
            raise PoseedgeError(f"{path}: {lifter.spec.model} does not give all frames of its window", "choose another")
        for flip in (False, True):
            found: dict[str, dict[str, Any]] = {}
            for keypoints in KEYPOINTS:
                for way, scores in compared(lifter, test_sequences(data, keypoints, every), flip, frames).items():
                    found.setdefault(way, {})[keypoints] = scores
            rows.append({"model": lifter.spec.model, "frames": lifter.spec.frames, "flip": flip, "ways": found})
            print(rows[-1], flush=True)
    report = {"data": data.name, "every": every, "frames_of_a_clip": frames, "rows": rows}
    record(results / "strides", report, markdown(report), page, "strides")


def compared(lifter: Lifter, sequences: list[PoseSequence], flip: bool, most: int) -> dict[str, dict[str, float]]:
    """Return what each way scores: MPJPE, that of the first and last half windows, and jitter, all in mm."""
    length, sums = lifter.spec.frames, dict[str, list[Float64Array]]()
    for sequence in sequences:
        known = min(len(sequence), most)
        firsts = np.arange(-length + 1, known)
        windows = np.clip(firsts[:, None] + np.arange(length), 0, known - 1)
        said = np.concatenate(
            [
                lift_windows(lifter, with_confidence(sequence.keypoints[windows[start : start + 32]], lifter.spec.channels), flip)
                for start in range(0, len(windows), 32)
            ]
        ).astype(np.float64)
        truth = sequence.relative_m[:known].astype(np.float64)
        for way, poses in ways(said, known).items():
            sums.setdefault(way, []).append(errors(poses, truth, length))
    return {
        way: dict(zip(("mpjpe", "ends", "jitter"), np.average(rows, axis=0, weights=[row[3] for row in rows])[:3], strict=True))
        for way, rows in sums.items()
    }


def ways(said: Float64Array, known: int) -> dict[str, Float64Array]:
    """Return the poses ``(T, 17, 3)`` of each way, of windows ``(T + F - 1, F, 17, 3)`` that begin a frame after the other."""
    length, found = said.shape[1], {}
    frames = np.arange(known)
    begins = np.minimum(frames // length * length, max(known - length, 0))
    found[FOLLOWING] = said[begins + length - 1, frames - begins]
    for share, part in SHARES.items():
        for name, weigh in WEIGHTS.items():
            if share == "1 frame" or name == "triangle" or share == "1/3":
                found[f"{share}, {name}"] = averaged(said, known, max(round(part * length), 1), weigh(length))
    return found


def averaged(said: Float64Array, known: int, step: int, weights: Float64Array) -> Float64Array:
    """Return the weighted mean of every ``step``-th window; those count whose last frame is a multiple of it."""
    length = said.shape[1]
    total, weight = np.zeros((known, *said.shape[2:])), np.zeros((known, 1, 1))
    for place in range(len(said)):
        if place % step == 0:
            first = place - length + 1
            rows = slice(max(first, 0), min(first + length, known))
            slots = slice(rows.start - first, rows.stop - first)
            total[rows] += weights[slots, None, None] * said[place, slots]
            weight[rows] += weights[slots, None, None]
    return total / weight


def errors(poses: Float64Array, truth: Float64Array, length: int) -> Float64Array:
    """Return MPJPE, that of the first and last half windows, and jitter in mm, and the number of frames."""
    poses = poses.copy()
    poses[:, ROOT] = 0
    by_frame = 1000 * metrics.joint_distances(poses, truth).mean(axis=1)
    half = length // 2
    ends = np.concatenate([by_frame[:half], by_frame[-half:]])
    shake = 1000 * metrics.jitter(np.delete(poses, ROOT, axis=1))
    return np.array([by_frame.mean(), ends.mean(), shake, len(poses)])


def markdown(report: dict[str, Any]) -> str:
    """Return the table."""
    heads = [f"{row['model']}{', flip' if row['flip'] else ''}" for row in report["rows"]]
    body = [
        [
            way,
            *(
                " / ".join(f"{row['ways'][way]['detected'][key]:.1f}" for key in ("mpjpe", "ends", "jitter"))
                for row in report["rows"]
            ),
        ]
        for way in report["rows"][0]["ways"]
    ]
    frames = report["rows"][0]["frames"]
    said = (
        f"{report['data']}'s test subjects, one clip in {report['every']}, at most {report['frames_of_a_clip']} frames of each; "
        f"detected keypoints; windows of {frames} frames. MPJPE / of the first and last half window / jitter, mm."
    )
    return "\n".join(["# Strides and weights", "", said, "", *grid(["a window every, weights", *heads], body)]) + "\n"


PROGRAM = measure
