"""Calibration: which windows, and what range each activation takes on them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseedge.arrays import Float32Array, Float64Array
from poseedge.data.h36m import available_keypoints, load_dataset
from poseedge.data.keypoints import with_confidence
from poseedge.data.mistakes import warnings_of
from poseedge.data.types import PoseDataset
from poseedge.data.windows import centered, mirror_keypoints
from poseedge.errors import DataError, PoseedgeError
from poseedge.graph.graph import Graph
from poseedge.lifter import USUAL_FPS


def load_calibration(
    folder: Path,
    frames: int,
    count: int,
    channels: int = 2,
    fps: float = USUAL_FPS,
    warn: Callable[[list[str]], None] = lambda _: None,
) -> Float32Array:
    """Return calibration windows from the training subjects, of every kind of keypoints that the data set folder holds.

    ``warn`` is told what cannot be right about the data, and if its frame rate is not ``fps``, at which the network knows motion.
    """
    datasets = [load_dataset(folder, kind) for kind in available_keypoints(folder)]
    warn(next(filter(None, (warnings_of(dataset, frames, fps) for dataset in datasets)), []))
    return calibration_windows([dataset.of(dataset.train) for dataset in datasets], frames, count, channels=channels)


def calibration_windows(
    datasets: Iterable[PoseDataset], frames: int, count: int, seed: int = 0, channels: int = 2
) -> Float32Array:
    """Return ``count`` windows ``(count, frames, 17, channels)``, spread evenly over sequences, cameras and data sets.

    Every other window is mirrored, since flip testing sends mirrored poses through the network too. A confidence, where
    the lifter takes one, is 1.0.
    """
    sequences = [sequence for dataset in datasets for sequence in dataset.sequences]
    if not sequences:
        raise DataError("there are no sequences to calibrate on", "give a data set that has its training subjects with --calib")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sequences))
    windows = []
    for number in range(count):
        sequence = sequences[order[number % len(order)]]
        window = sequence.keypoints[centered(len(sequence), frames)[rng.integers(len(sequence))]]
        windows.append(mirror_keypoints(window) if number % 2 else window)
    return np.ascontiguousarray(with_confidence(np.stack(windows), channels), dtype=np.float32)


def digest(windows: Float32Array) -> str:
    """Return the SHA-256 of the windows' values, to name a calibration set by."""
    return hashlib.sha256(windows.tobytes()).hexdigest()


@dataclass(frozen=True)
class ChannelStatistics:
    """What an activation ``(..., C)`` did on the calibration windows, for each of its C channels."""

    low: Float64Array
    high: Float64Array
    mean: Float64Array


def channel_statistics(
    graph: Graph, tensors: list[str], windows: Float32Array, advance: Callable[[], None] = lambda: None
) -> dict[str, ChannelStatistics]:
    """Return the statistics of each tensor over all windows; ``advance`` is called after each one.

    Memory does not grow with the number of windows. Raises ``PoseedgeError`` if a value is not finite.
    """
    names = list(dict.fromkeys(tensors))
    evaluate = graph.evaluator(names, optimize=True)
    lows: dict[str, Float64Array] = {}
    highs: dict[str, Float64Array] = {}
    sums: dict[str, Float64Array] = {}
    rows: dict[str, int] = {}
    for window in windows:
        for name, value in zip(names, evaluate(window[None]), strict=True):
            value = value.reshape(-1, value.shape[-1]).astype(np.float64)
            low, high = value.min(axis=0), value.max(axis=0)
            lows[name] = np.minimum(lows.get(name, low), low)
            highs[name] = np.maximum(highs.get(name, high), high)
            sums[name] = sums.get(name, np.zeros(len(low))) + value.sum(axis=0)
            rows[name] = rows.get(name, 0) + len(value)
        advance()
    for name in names:
        if not np.isfinite(sums[name]).all():
            told = f"{graph.name}: {name} is not finite on the calibration windows"
            raise PoseedgeError(told, "does the float graph give finite poses?")
    return {name: ChannelStatistics(lows[name], highs[name], sums[name] / rows[name]) for name in names}
