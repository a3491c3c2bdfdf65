"""Calibration: the offset, the divisor and the step with which each activation is rounded to INT8.

TensorRT takes symmetric activations alone, but these are not: after GELU all eight bits but one would go to one side. So
each channel is centred first, where something can compensate the offset (see ``quantize``). Behind a norm, channels are
also brought nearer to each other, as SmoothQuant does (Xiao et al. 2023): divided by (own range / widest range) to the
power ``migrate``, which the norm's gain takes and the rows of the weight compensate.

Four methods choose how much of the widest channel's range the steps cover: ``minmax`` all of it, ``percentile`` all but
one value in ten thousand, ``entropy`` what changes the distribution least (ONNX Runtime's search), ``mse`` what makes the
mean squared rounding error least.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poseedge.arrays import Float32Array, Float64Array, IndexArray
from poseedge.errors import PoseedgeError
from poseedge.files import atomic_write
from poseedge.graph.graph import Graph
from poseedge.int8.centring import Centring
from poseedge.int8.placement import Placement
from poseedge.int8.windows import ChannelStatistics, channel_statistics, digest

Method = Literal["minmax", "percentile", "entropy", "mse"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy", "mse")

QMAX = 127.0
WORTHWHILE = 1.3  # how much finer centring must make the step where it costs an operator
NARROWEST = 1 / 16  # of the widest channel's range: what hardly moves in calibration may move later, and would be clipped
BINS, PERCENTILE = 2048, 99.99
ENTROPY_BINS, ENTROPY_STEPS = 512, 255  # on each side of zero; more bins cost ONNX Runtime minutes
FORMAT = 1  # of the file; another one makes old caches unread


@dataclass(frozen=True)
class Activation:
    """How one activation ``(..., C)`` is rounded: to whole steps of ``(x - offset) / divisor``."""

    offset: Float64Array  # (C,)
    divisor: Float64Array  # (C,), 1 but behind a norm
    mean: Float64Array  # (C,) on the calibration windows
    step: np.float32


Ranges = dict[str, Activation]


def calibrate(
    graph: Graph,
    placement: Placement,
    windows: Float32Array,
    method: Method = "minmax",
    migrate: float = 0.0,
    advance: Callable[[], None] = lambda: None,
) -> Ranges:
    """Return how each tensor of ``placement`` is rounded, from what it did on ``windows (N, T, 17, C)``.

    ``advance`` is called ``calibration_passes(method)`` times for each window. Raises ``PoseedgeError`` if a tensor is not
    finite or never changes.
    """
    return read_ranges(measure_ranges(graph, placement, windows, method, migrate, advance))


def calibration_passes(method: Method) -> int:
    """Return how often a method runs over the windows."""
    return 1 if method == "minmax" else 2


def center(statistics: ChannelStatistics, name: str, centring: Centring, migrate: float = 0.0, share: float = 1.0) -> Activation:
    """Return offset, divisor and the step that covers this ``share`` of the widest channel around its offset.

    Offsets are whole steps, so that a channel that rests at zero, as after GELU, is still represented exactly. Where
    centring costs an operator or two, it must make the step a good deal finer.
    """
    low, high = statistics.low, statistics.high
    half = (high - low) / 2
    widest, largest = float(half.max()), float(np.maximum(high, -low).max())
    if not widest > 0:
        raise PoseedgeError(f"{name} never changes on the calibration windows", "calibrate on real keypoints")
    divisor = np.ones_like(half)
    if centring == "none" or (centring == "add" and largest < WORTHWHILE * widest):
        return Activation(np.zeros_like(half), divisor, statistics.mean, np.float32(largest / QMAX * share))
    if centring == "norm":
        divisor = np.maximum(half / widest, NARROWEST) ** migrate
    step = np.float32(widest / (QMAX - 0.5) * share)  # half a step is left for the rounding of the offset
    whole = divisor * np.float64(step)
    return Activation(np.rint((high + low) / 2 / whole) * whole, divisor, statistics.mean, step)


def center_behind(statistics: ChannelStatistics, norm: Activation, channels: IndexArray, share: float = 1.0) -> Activation:
    """Return how a tensor is rounded that holds these ``channels`` of a norm, which centres and divides them all alike."""
    offset, divisor = norm.offset[channels], norm.divisor[channels]
    reach = np.maximum(statistics.high - offset, offset - statistics.low) / divisor
    return Activation(offset, divisor, statistics.mean, np.float32(reach.max() / QMAX * share))


def histograms(
    graph: Graph, tensors: Mapping[str, str], ranges: Ranges, windows: Float32Array, advance: Callable[[], None]
) -> dict[str, IndexArray]:
    """Return, for each key, how often ``|x - offset| / divisor`` falls into each of ``BINS`` equal parts of its reach."""
    names = list(dict.fromkeys(tensors.values()))
    evaluate = graph.evaluator(names, optimize=True)
    counts = {key: np.zeros(BINS, np.int64) for key in tensors}
    for window in windows:
        values = dict(zip(names, evaluate(window[None]), strict=True))
        for key, tensor in tensors.items():
            activation = ranges[key]
            size = np.abs((values[tensor] - activation.offset) / activation.divisor)
            bins = np.minimum(size * (BINS / QMAX / activation.step), BINS - 1).astype(np.int64)
            counts[key] += np.bincount(bins.ravel(), minlength=BINS)
        advance()
    return counts


def percentile_share(counts: IndexArray) -> float:
    """Return the share of the reach that holds 99.99 % of all values."""
    below = np.cumsum(counts) / counts.sum()
    return (int(np.searchsorted(below, PERCENTILE / 100)) + 1) / len(counts)


def entropy_share(counts: IndexArray) -> float:
    """Return the share of the reach whose distribution, clipped and rounded, diverges least from the whole (KL)."""
    from onnxruntime.quantization.calibrate import HistogramCollector

    coarse = counts.reshape(ENTROPY_BINS, -1).sum(axis=1)
    both = np.concatenate([coarse[::-1], coarse])
    edges = np.linspace(-1, 1, len(both) + 1, dtype=np.float32)
    with contextlib.redirect_stdout(io.StringIO()):  # it talks
        collector = HistogramCollector("entropy", True, len(both), ENTROPY_STEPS, None, None)
        _, threshold = collector.get_entropy_threshold((both, edges, np.float32(-1), np.float32(1)), ENTROPY_STEPS)
    return float(threshold)


def mse_share(counts: IndexArray) -> float:
    """Return the share of the reach that makes the mean squared error of rounding and clipping least."""
    values = (np.arange(len(counts)) + 0.5) / len(counts)
    shares = np.linspace(0.1, 1.0, 181)
    steps = shares[:, None] / QMAX
    errors = (np.minimum(np.rint(values / steps), QMAX) * steps - values) ** 2
    return float(shares[np.argmin(errors @ counts)])


# The file


def measure_ranges(
    graph: Graph,
    placement: Placement,
    windows: Float32Array,
    method: Method,
    migrate: float,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Return what ``calibrate`` needs to know, as JSON: channel by channel low, high and mean, and the share to cover."""
    tensors = {key: tensor for key, (tensor, _) in placement.tensors.items()}
    found = channel_statistics(graph, list(tensors.values()), windows, advance)
    content: dict[str, Any] = {
        "format": FORMAT,
        "method": method,
        "migrate": migrate,
        "windows": len(windows),
        "windows_sha256": digest(windows),
        "graph_sha256": graph_digest(graph),
        "tensors": {
            key: {
                **centred_by(placement, key),
                "share": 1.0,
                **{name: [float(f"{number:.6g}") for number in values] for name, values in asdict(found[tensor]).items()},
            }
            for key, tensor in tensors.items()
        },
    }
    if method != "minmax":
        share = {"percentile": percentile_share, "entropy": entropy_share, "mse": mse_share}[method]
        for key, counts in histograms(graph, tensors, read_ranges(content), windows, advance).items():
            content["tensors"][key]["share"] = share(counts)
    return content


def centred_by(placement: Placement, key: str) -> dict[str, Any]:
    """Return what a ranges file says of who centres a tensor: of one behind a norm also which of the norm's channels it holds."""
    behind = placement.behind_norm(key)
    tied = {} if behind is None else {"norm": behind.tensors[0], "channels": behind.channels.tolist()}
    return {"centring": placement.tensors[key][1], **tied}


def read_ranges(content: Mapping[str, Any]) -> Ranges:
    """Return the ranges that follow from what ``measure_ranges`` found."""
    entries = content["tensors"]
    statistics = {
        key: ChannelStatistics(*(np.array(entry[name], np.float64) for name in ("low", "high", "mean")))
        for key, entry in entries.items()
    }
    shared = {entry["norm"] for entry in entries.values() if "norm" in entry}  # centred alike, whatever share each reader covers
    found = {}
    for key, entry in entries.items():
        share = 1.0 if key in shared else entry["share"]
        found[key] = center(statistics[key], key, entry["centring"], content["migrate"], share)
    behind = {
        key: center_behind(statistics[key], found[entry["norm"]], np.array(entry["channels"]), entry["share"])
        for key, entry in entries.items()
        if "norm" in entry
    }
    covered = {key: replace(found[key], step=np.float32(found[key].step * entries[key]["share"])) for key in shared}
    return found | behind | covered


def cached_ranges(
    graph: Graph,
    placement: Placement,
    windows: Float32Array,
    method: Method,
    migrate: float,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Return what ``measure_ranges`` finds, from the cache if it was found for this graph and these windows before.

    The cache is in ``$XDG_CACHE_HOME/poseedge``, by default ``~/.cache/poseedge``; a file that cannot be read is made anew.
    """
    asked = [FORMAT, graph_digest(graph), digest(windows), method, migrate, sorted(placement.tensors.items())]
    name = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "poseedge" / "calibration" / f"{name}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        content: dict[str, Any] = json.loads(path.read_text())
        read_ranges(content)
        for _ in range(len(windows) * calibration_passes(method)):  # a progress bar is full then, too
            advance()
        return content
    content = measure_ranges(graph, placement, windows, method, migrate, advance)
    with contextlib.suppress(OSError), atomic_write(path) as temporary:  # a read-only home is no reason to fail
        temporary.write_text(json.dumps(content))
    return content


def graph_digest(graph: Graph) -> str:
    """Return the SHA-256 of what a graph computes, whatever its metadata says."""
    return hashlib.sha256(graph.proto.graph.SerializeToString(deterministic=True)).hexdigest()
