"""One protocol for everything that turns 2D keypoints into 3D poses, and what all that follow it share."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

from poseedge.arrays import AnyArray, Float32Array
from poseedge.errors import ArtefactError, DataError, PoseedgeWarning
from poseedge.skeleton import NUM_JOINTS

NORMALIZATION = "u = 2 px / W - 1, v = 2 py / W - H / W"  # screen coordinates of pixels: x from -1 to 1, y up to H / W
FAR_OFF = 3.0  # screen coordinates beyond this are no detector's
USUAL_FPS = 50.0  # of Human3.6M, which published networks were trained on, and of the bundled weights
STRAY = 0.1  # of the keypoints may be: a detector errs, too
ENGINE_SUFFIXES = (".engine", ".plan", ".trt")
Precision = Literal["fp32", "fp16", "int8", "int8-fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# The flip test of a lifter: run it twice and average; or its poses are averaged already; or two passes would each choose
# their own frames, where the published test lets the mirrored one keep those of the first.
Flip = Literal["passes", "inside", "shared"]


@dataclass(frozen=True)
class LifterSpec:
    """What a lifter takes and gives."""

    model: str
    frames: int  # window length
    output_frames: tuple[int, ...]  # window frame that each output slot shows
    precision: str  # fp32, fp16 or int8
    batch: int | None  # fixed batch, or None if free
    channels: int = 2  # per keypoint: 2, or 3 with a confidence
    flip: Flip = "passes"
    weights_sha256: str = ""  # of the checkpoint that a graph was exported from, if it is known
    remembers: bool = False  # it takes the window's frames one by one: a ``CachedLifter``
    fps: float | None = None  # frames per second of what it was trained on, if its file tells

    @property
    def center_slot(self) -> int:
        """Output slot of the one pose that is taken where one a window is wanted: see ``shown_frame``."""
        return self.output_frames.index(self.shown_frame)

    @property
    def shown_frame(self) -> int:
        """Window frame of that pose: the centre, or the output frame nearest to it, which is a causal network's last."""
        return nearest_to_center(self.output_frames, self.frames)

    @property
    def known_fps(self) -> float:
        """Frames per second at which the network knows motion: as its file tells, else the usual rate."""
        return self.fps or USUAL_FPS

    @property
    def look_ahead(self) -> int:
        """Frames after the latest output frame that the window needs: the algorithmic delay."""
        return self.frames - 1 - max(self.output_frames)


@dataclass(frozen=True)
class Cost:
    """What one window costs.

    ``flops`` counts matrix products and convolutions, 2 per multiply-add, whatever the number format; None if the
    graph holds a product that cannot be counted, and then ``unknown`` says which. ``attention_flops`` is the part of
    it in products of two activations, which most papers leave out.
    """

    flops: int | None
    attention_flops: int | None
    params: int | None
    nodes: int | None
    file_bytes: int
    unknown: str = ""

    @property
    def flops_without_attention(self) -> int | None:
        """Operations as most papers count them."""
        return None if self.flops is None or self.attention_flops is None else self.flops - self.attention_flops


def nearest_to_center(frames: Sequence[int], window: int) -> int:
    """Return which of these frames of a window of ``window`` frames is nearest to its centre."""
    return min(frames, key=lambda frame: abs(frame - (window - 1) // 2))


class Lifter(Protocol):
    """A PyTorch model, an ONNX Runtime session or a TensorRT engine: all are called alike.

    One lifter may be shared between threads: each call gets the poses of its own keypoints, and settings of the process,
    such as PyTorch's number of threads, are after a call what they were before it.
    """

    spec: LifterSpec
    path: Path
    backend: str
    provider: str
    notes: tuple[str, ...]  # what a person should know of how it runs here, such as nodes that fell back to the CPU

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        """Lift ``(B, T, 17, C)`` normalized screen coordinates to ``(B, T_out, 17, 3)`` metres, root-relative, camera axes."""

    def cost(self) -> Cost:
        """Say what one window costs, and how large the artefact is, as far as it can be told."""


def check_keypoints(keypoints: AnyArray, spec: LifterSpec) -> Float32Array:
    """Return ``keypoints`` as contiguous float32, or raise ``DataError`` that says what is wrong with them.

    Keypoints that all lie between 0 and 1, or where nothing was found at 0, are doubted by a ``PoseedgeWarning``.
    """
    wanted = (spec.frames, NUM_JOINTS, spec.channels)
    keypoints = np.asarray(keypoints)
    if keypoints.dtype.kind not in "fiub":
        raise DataError(f"keypoints hold {keypoints.dtype}, not numbers", "windows of frames, 17 Human3.6M joints, float32")
    if keypoints.ndim != 4 or keypoints.shape[1:] != wanted:
        raise DataError(
            f"{spec.model} takes keypoints (B, {', '.join(map(str, wanted))}), found {keypoints.shape}",
            "windows of frames, 17 Human3.6M joints, normalized screen coordinates",
        )
    keypoints = np.ascontiguousarray(keypoints, dtype=np.float32)
    values = keypoints.ravel()
    # The quickest to tell: were as many as STRAY beyond FAR_OFF, or one not finite, the sum of squares could not be so small.
    if float(values.dot(values)) < 1.8 * STRAY * FAR_OFF**2 * len(values) / spec.channels and (
        values.item(0) < 0 or np.minimum.reduce(values) < 0  # left of the middle: no fraction of the picture's side
    ):
        return keypoints
    return _looked_through(keypoints, spec)


def _looked_through(keypoints: Float32Array, spec: LifterSpec) -> Float32Array:
    """Return keypoints of which a glance did not tell that they are usual; raises and warns as ``check_keypoints`` does."""
    low, high = float(keypoints.min(initial=0)), float(keypoints.max(initial=0))
    if not (math.isfinite(low) and math.isfinite(high)):
        window, frame = np.argwhere(~np.isfinite(keypoints))[0, :2]
        raise DataError(
            f"keypoints hold NaN or infinity (window {window}, frame {frame})", "fill or cut missing detections first"
        )
    points = keypoints if spec.channels == 2 else keypoints[..., :2]  # a confidence has no place on the screen
    if max(-low, high) > FAR_OFF and np.mean(np.abs(points) > FAR_OFF) > STRAY:
        raise DataError(
            f"keypoints reach from {low:g} to {high:g}, where the screen's edges are at -1 and 1: are they pixels?",
            f"normalize them: {NORMALIZATION}, for a picture of W x H pixels",
        )
    if 0 <= low < high <= 1 and np.mean(points > 0) > 0.5:
        said = "all keypoints lie between 0 and 1: if they are fractions of the picture's sides, normalize them: "
        warnings.warn(f"{said}{NORMALIZATION}, for a picture of W x H pixels", PoseedgeWarning, stacklevel=4)
    return keypoints


def check_poses(poses: Float32Array, spec: LifterSpec, path: Path) -> Float32Array:
    """Return ``poses``; raises ``ArtefactError`` if the network in ``path`` made NaN or infinity of checked keypoints."""
    values = poses.ravel()
    if not math.isfinite(values.dot(values)) and not np.isfinite(values).all():  # the product is the quickest to tell
        raise ArtefactError(
            f"{path}: {spec.model} ({spec.precision}) gives NaN or infinity for these keypoints",
            "half precision ends at 65504: run fp32, or keep more of the network in float32 (fp16.keep in the recipe)"
            if "fp16" in spec.precision
            else "are its weights damaged?",
        )
    return poses


def lift_in_batches(
    run: Callable[[Float32Array], Float32Array], keypoints: Float32Array, spec: LifterSpec, most: int, path: Path
) -> Float32Array:
    """Call ``run`` with at most ``most`` windows at a time; where the batch is fixed, the last call is filled up.

    Raises as ``check_poses`` does, which calls the network ``path``.
    """
    windows = len(keypoints)
    if windows == spec.batch or (spec.batch is None and 0 < windows <= most):  # one call, as in live use
        return check_poses(run(keypoints), spec, path)
    if not windows:
        return np.empty((0, len(spec.output_frames), NUM_JOINTS, 3), np.float32)
    parts = []
    for start in range(0, len(keypoints), most):
        part = keypoints[start : start + most]
        missing = (spec.batch or len(part)) - len(part)
        if missing:
            part = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
        poses = run(part)
        parts.append(poses[: len(poses) - missing] if missing else poses)
    return check_poses(parts[0] if len(parts) == 1 else np.concatenate(parts), spec, path)


def random_keypoints(spec: LifterSpec, batch: int) -> Float32Array:
    """Return ``(batch, T, 17, C)`` keypoints over the middle of the screen, the same ones every time."""
    shape = (batch, spec.frames, NUM_JOINTS, spec.channels)
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


def spec_from_shapes(model: str, source: Sequence[Any], target: Sequence[Any]) -> LifterSpec | None:
    """Guess what a network without metadata does from its input and output shapes, None if these are no lifter's.

    A size that is no positive int is free; only the batch may be. The output frames are taken to be the middle ones.
    """
    free = [place for place, size in enumerate(source) if not isinstance(size, int) or size < 1]
    if len(source) != 4 or len(target) != 4 or source[2] != NUM_JOINTS or tuple(target[2:]) != (NUM_JOINTS, 3):
        return None
    if not isinstance(target[1], int) or free not in ([], [0]):
        return None
    frames, given = source[1], target[1]
    first = max((frames - 1) // 2 - given // 2, 0)
    return LifterSpec(model, frames, tuple(range(first, first + given)), "fp32", None if free else source[0], source[3])
