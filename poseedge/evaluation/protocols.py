"""How a repository scores a test set where it does other than the clean protocol: every frame once, root at zero.

Sources and consequences of each: docs/evaluation.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from poseedge.arrays import AnyArray, FloatArray, IndexArray
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.data.windows import centered, strided, tail_aligned
from poseedge.errors import PoseedgeError, nearest
from poseedge.lifter import LifterSpec
from poseedge.skeleton import ROOT


@dataclass(frozen=True)
class Protocol:
    """What a test does with windows, the root and units."""

    description: str
    # how a seq2seq network's windows are cut and scored
    windows: Literal["once", "tail-aligned", "even-overhang", "whole"] = "once"
    root: Literal["zero", "predicted", "subtracted"] = "zero"  # what becomes of the predicted joint 0
    image_space: bool = False  # the network gives poses in units of the picture
    velocity_by_frames: bool = False  # sequences weigh in a velocity error by their frames, not by the steps between them


ONCE = Protocol("every frame once, root set to zero")
PROTOCOLS = {
    "once": ONCE,
    "videopose3d": Protocol(
        "every frame once, the error of the predicted root counts", root="predicted", velocity_by_frames=True
    ),
    "mixste": Protocol(
        "last window ends with the sequence, frames scored twice; root counts",
        "tail-aligned",
        "predicted",
        velocity_by_frames=True,
    ),
    "hot": Protocol("overhang split between both ends, padded duplicates scored", "even-overhang"),
    "modulated-gcn": Protocol("the predicted root is subtracted from all joints", root="subtracted"),
    "motionbert": Protocol(
        "whole windows only; image-space poses, made metric with the true depth of the root", "whole", image_space=True
    ),
}
PROTOCOLS["poseformerv2"] = PROTOCOLS["videopose3d"]  # from which its evaluation descends
PROTOCOLS["motionagformer"] = PROTOCOLS["motionbert"]  # whose data, clips and units it has
# Takes of Human3.6M's S9 that MotionBERT leaves out: their ground truth is displaced. Its names of them are
# s_09_act_05_subact_02, s_09_act_10_subact_02 and s_09_act_13_subact_01.
DISPLACED = {("S9", "Greeting"), ("S9", "SittingDown 1"), ("S9", "Waiting 1")}


def protocol(name: str) -> Protocol:
    """Return the protocol ``name``; the error for an unknown one suggests the nearest."""
    if name not in PROTOCOLS:
        raise PoseedgeError(f"unknown protocol {name!r}", nearest(name, list(PROTOCOLS)))
    return PROTOCOLS[name]


def without_displaced(dataset: PoseDataset, protocol: Protocol = ONCE) -> PoseDataset:
    """Return the sequences that ``protocol`` tests: MotionBERT leaves three of Human3.6M out."""
    if protocol.windows != "whole" or dataset.name != "h36m":
        return dataset
    return replace(dataset, sequences=tuple(s for s in dataset.sequences if (s.subject, s.action) not in DISPLACED))


@dataclass(frozen=True)
class Plan:
    """Which windows of a sequence to lift, ``(W, F)``, and which slot of which of them to take for each scored frame."""

    windows: IndexArray
    frames: IndexArray  # scored, in order; a protocol may score a frame twice
    where: IndexArray
    slots: IndexArray


def plan(sequence: PoseSequence, spec: LifterSpec, protocol: Protocol = ONCE, every: int = 1, whole: bool = False) -> Plan:
    """Plan the test of one sequence on every ``every``-th of its frames that count.

    A network that gives all frames of its window is run over windows that follow each other, each frame taken from the
    first that holds it unless ``protocol`` says otherwise; any other is run once per frame, edges padded, and its centre
    slot taken. ``whole``: of a network that gives all frames, all those of the windows that are lifted are scored. Raises
    ``DataError`` if ``protocol`` needs a camera and none is known.
    """
    if protocol.image_space:
        sequence.check_focal_length("making image-space poses metric", "score with another protocol than 'motionbert'")
    length = len(sequence)
    frames = np.flatnonzero(sequence.counted)[::every]
    if len(spec.output_frames) < spec.frames or spec.frames == 1:
        windows = centered(length, spec.frames, spec.shown_frame)[frames]
        return Plan(windows, frames, np.arange(len(frames)), np.full(len(frames), spec.center_slot))
    if protocol.windows == "once":
        return windows_once(sequence, frames, tail_aligned(length, spec.frames), whole)
    if every != 1:
        raise PoseedgeError("this protocol scores whole windows", "leave --every out, or use the protocol 'once'")
    if protocol.windows == "whole":
        return whole_windows(sequence, spec.frames)
    even = protocol.windows == "even-overhang"
    windows = strided(length, spec.frames, spec.frames) if even else tail_aligned(length, spec.frames)
    where, slots = (index.ravel() for index in np.indices(windows.shape))
    counted = sequence.counted[windows.ravel()]
    return Plan(windows, windows.ravel()[counted], where[counted], slots[counted])


def windows_once(sequence: PoseSequence, frames: IndexArray, windows: IndexArray, whole: bool) -> Plan:
    """Plan to lift those of ``windows (W, F)``, which follow each other, that hold ``frames``, and no others.

    A frame is taken from the first that holds it. ``whole``: so are all others that count in these windows.
    """
    holder = np.minimum(np.arange(len(sequence)) // windows.shape[1], len(windows) - 1)  # which window each frame is taken from
    lifted = np.unique(holder[frames])
    if whole:
        frames = np.flatnonzero(sequence.counted & np.isin(holder, lifted))
    where = np.searchsorted(lifted, holder[frames])
    return Plan(windows[lifted], frames, where, frames - windows[holder[frames], 0])


def whole_windows(sequence: PoseSequence, frames: int) -> Plan:
    """Plan as MotionBERT does: windows that follow each other, what is left after the last is not scored.

    A sequence shorter than a window is stretched to one, its frames repeated evenly, and each scored where it stands last.
    (MotionBERT draws by chance which of two neighbours is repeated.)
    """
    length = len(sequence)
    if length < frames:
        stretched = np.arange(frames) * length // frames
        slots = np.searchsorted(stretched, np.arange(length), side="right") - 1
        windows, where = stretched[None], np.zeros(length, np.intp)
    else:
        windows = np.arange(length // frames * frames).reshape(-1, frames)
        where, slots = (index.ravel() for index in np.indices(windows.shape))
    counted = np.flatnonzero(sequence.counted[: len(where)])
    return Plan(windows, counted, where[counted], slots[counted])


def settled(poses: FloatArray, sequence: PoseSequence, frames: IndexArray, protocol: Protocol = ONCE) -> FloatArray:
    """Return lifted poses ``(N, 17, 3)`` in metres with the root as ``protocol`` wants it."""
    if protocol.image_space:
        depth = sequence.joints_m[frames, ROOT, 2] / sequence.camera.intrinsics[0]
        poses = poses * depth[:, None, None]
    if protocol.root == "subtracted":
        return np.asarray(poses - poses[:, [ROOT]])
    if protocol.root == "zero":
        poses[:, ROOT] = 0
    return poses


def batch_credited(values: FloatArray, actions: AnyArray, batch: int) -> FloatArray:
    """Return ``values (N,)`` with those of each batch that mixes actions replaced by the batch's mean.

    This is how MHFormer and its relatives accumulate P-MPJPE.
    """
    credited = np.array(values)
    for start in range(0, len(values), batch):
        part = slice(start, start + batch)
        if len(set(actions[part])) > 1:
            credited[part] = values[part].mean()
    return credited
