"""Calibration: which windows, and what range each activation takes on them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt
import onnx

from poseedge.data.h36m import PoseDataset
from poseedge.data.windows import centered, mirror_keypoints
from poseedge.deploy.graph import evaluator
from poseedge.errors import DataError, PoseedgeError

Array = npt.NDArray[np.float32]


def calibration_windows(datasets: Iterable[PoseDataset], frames: int, count: int, seed: int = 0) -> Array:
    """Return ``count`` windows ``(count, frames, 17, 2)``, spread evenly over sequences, cameras and data sets.

    Every other window is mirrored, since flip testing sends mirrored poses through the network too.
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
    return np.ascontiguousarray(np.stack(windows), dtype=np.float32)


def digest(windows: Array) -> str:
    """Return the SHA-256 of the windows' values, to name a calibration set by."""
    return hashlib.sha256(windows.tobytes()).hexdigest()


def absolute_ranges(
    model: onnx.ModelProto, tensors: list[str], windows: Array, advance: Callable[[], None] = lambda: None
) -> Mapping[str, float]:
    """Return the largest absolute value of each tensor over all windows; ``advance`` is called after each one.

    Memory does not grow with the number of windows. Raises ``PoseedgeError`` if a range is not finite.
    """
    names = list(dict.fromkeys(tensors))
    evaluate = evaluator(with_outputs(model, names), names, optimize=True)
    largest = np.zeros(len(names))
    for window in windows:
        largest = np.maximum(largest, [np.abs(value).max() for value in evaluate(window[None])])
        advance()
    if not np.isfinite(largest).all():
        raise PoseedgeError(f"the range of {names[int(np.argmin(np.isfinite(largest)))]} is not finite on the calibration windows")
    return dict(zip(names, largest.tolist(), strict=True))


def with_outputs(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """Return a copy of ``model`` that also gives the tensors ``names``."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    given = {value.name for value in copy.graph.output} | {value.name for value in copy.graph.input}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    return copy
