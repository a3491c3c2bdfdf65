"""What cannot be right about a data set, told by its own numbers, and what would make it right.

Wrong units, axes and joint orders load without an error and give plausible poses, so they are judged by what motion is: bones
keep a human length, knees bend forwards, and keypoints lie where the camera sees the joints. Where they do not, every common
mistake is undone in turn; the one that brings keypoints and motion together is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from poseedge.arrays import BoolArray, FloatArray
from poseedge.data.cameras import Camera, camera_to_world, denormalize_screen, normalize_screen, project, world_to_camera
from poseedge.data.keypoints import coco_to_h36m
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.lifter import USUAL_FPS
from poseedge.skeleton import BONES, JOINT_NAMES, LEFT, MIRROR, NUM_JOINTS, RIGHT

SEQUENCES, FRAMES = 200, 20  # looked at, evenly spaced
LEG_M = (0.5, 1.25)  # hip to ankle along the bones, of people from 1.1 m to 2.3 m
UNITS = {"millimetres": 1e-3, "centimetres": 1e-2, "inches": 0.0254, "feet": 0.3048, "kilometres": 1e3}
APART = 0.15  # of the person's height in the picture: no detector is that far off on average
NEARBY = 0.03  # as far off as a poor detector
TOGETHER = 4  # times nearer, and a mistake is no coincidence
RIGID = 0.15  # relative spread of a bone's length over time, beyond which two ends are no bone
STRAIGHT = 0.03  # metres that a knee may stand off the line from hip to ankle and count as stretched
TINY_PX = 4.0  # no detector tells joints of so small a person
HIP, KNEE, ANKLE = 0, 1, 2  # of a leg
MANY = 50  # bent knees, enough to judge by
OTHER_RATE = 0.02  # relative; 29.97 is 30
FORWARDS = 0.25  # share of bent knees that bend forwards, below which left and right are exchanged


@dataclass(frozen=True)
class Mistake:
    """One thing that cannot be right, with the number that tells, and what would make it right."""

    what: str
    fix: str


def mistakes(dataset: PoseDataset) -> list[Mistake]:
    """Return what cannot be right about ``dataset``, the gravest first; none of a sound one."""
    sequences = [sampled_frames(s) for s in every_nth(dataset.sequences, SEQUENCES)]
    if not sequences:
        return []
    found = [*split_mistakes(dataset), *camera_mistakes(dataset), *blank_mistakes(dataset)]
    # What is wrong about the motion would be told again by the picture.
    motion = list(order_mistakes(sequences)) or [*size_mistakes(sequences), *side_mistakes(sequences)]
    return [*found, *motion, *([] if motion else picture_mistakes(sequences))]


def warnings_of(dataset: PoseDataset, frames: int = 1, fps: float = USUAL_FPS) -> list[str]:
    """Return the mistakes of ``dataset`` as one warning, and another if its frame rate is not the network's; none of a sound one.

    The network takes windows of ``frames`` and knows motion at ``fps``; one of single frames knows no rate.
    """
    found = mistakes(dataset)
    more = f" (and {len(found) - 1} more: poseedge data check tells)" if len(found) > 1 else ""
    said = [f"{dataset.name} cannot be right: {found[0].what}; {found[0].fix}{more}"] if found else []
    if frames > 1 and possible_rate(dataset.fps) and abs(dataset.fps / fps - 1) > OTHER_RATE:
        said.append(
            f"{dataset.name} has {dataset.fps:g} frames per second, and the network is taken to know {fps:g}: windows of {frames}"
            f" frames last {frames / dataset.fps:.2g} s, not {frames / fps:.2g} s; resample the data, or train at its rate"
        )
    return said


def possible_rate(fps: float) -> bool:
    """Say whether cameras run at ``fps``."""
    return 1 <= fps <= 1000


def every_nth(items: tuple[PoseSequence, ...], most: int) -> list[PoseSequence]:
    """Return at most ``most`` of ``items``, evenly spaced."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).astype(int))] if items else []


def sampled_frames(sequence: PoseSequence) -> PoseSequence:
    """Return some frames of a sequence, evenly spaced; frames without keypoints are left out where others are at hand."""
    seen = np.flatnonzero(~blank(sequence))
    chosen = seen if len(seen) else np.arange(len(sequence))
    frames = chosen[np.unique(np.linspace(0, len(chosen) - 1, min(FRAMES, len(chosen))).astype(int))]
    return replace(sequence, keypoints=sequence.keypoints[frames], joints_m=sequence.joints_m[frames], valid=None)


def blank(sequence: PoseSequence) -> BoolArray:
    """Tell which frames have all keypoints in one place, as detectors write where they found nobody, ``(T,)``."""
    return np.asarray((np.ptp(sequence.keypoints, axis=1) == 0).all(axis=-1))


def split_mistakes(dataset: PoseDataset) -> Iterator[Mistake]:
    """Judge the split and the frame rate."""
    if both := sorted(set(dataset.train) & set(dataset.test)):
        yield Mistake(f"{', '.join(both)} in training and in test: errors would be of what was learned", "name each subject once")
    if not possible_rate(dataset.fps):
        yield Mistake(f"{dataset.fps:g} frames per second", "fps in the cameras file is frames per second, such as 50")


def camera_mistakes(dataset: PoseDataset) -> Iterator[Mistake]:
    """Judge the cameras by themselves."""
    rigs: dict[str, dict[tuple[str, str], Camera]] = {}
    for sequence in dataset.sequences:
        rigs.setdefault(sequence.subject, {})[sequence.action, sequence.camera.id] = sequence.camera
    views: dict[tuple[str, str], list[Camera]] = {}
    for sequence in dataset.sequences:
        views.setdefault((sequence.subject, sequence.action), []).append(sequence.camera)
    said: set[str] = set()
    for (subject, _), cameras in views.items():
        ids = [camera.id for camera in cameras]
        for name in sorted({i for i in ids if ids.count(i) > 1}):
            what = f"{subject}: two cameras are called {name}"
            if what not in said:
                said.add(what)
                yield Mistake(what, "one entry for each camera, in the order of the 2D tracks")
    odd = {s.camera.id: s.camera for s in dataset.sequences if (s.camera.intrinsics[:2] < 0).any()}
    for name, camera in odd.items():
        yield Mistake(f"camera {name}: focal length {focal_px(camera):.0f} px", "focal_length is in pixels, above zero")


def focal_px(camera: Camera) -> float:
    """Return the smaller focal length, pixels."""
    return float(camera.intrinsics[:2].min()) * camera.width / 2


def blank_mistakes(dataset: PoseDataset) -> Iterator[Mistake]:
    """Judge frames in which nobody was found."""
    empty = sum(int(blank(s).sum()) for s in dataset.sequences)
    if empty:
        yield Mistake(
            f"{empty} of {dataset.frames} frames have all {dataset.keypoints} keypoints in one place, as where nobody was found",
            "fill the gaps from the frames beside them, or cut these frames out of motion and keypoints",
        )


def size_mistakes(sequences: list[PoseSequence]) -> Iterator[Mistake]:
    """Judge the size of the person."""
    leg = float(np.median(np.concatenate([leg_lengths(s.joints_m) for s in sequences])))
    if LEG_M[0] <= leg <= LEG_M[1]:
        return
    unit = next((name for name, metres in UNITS.items() if LEG_M[0] <= leg * metres <= LEG_M[1]), None)
    factor = UNITS[unit] if unit else None
    fix = f"the motion is in {unit}: times {factor:g}" if unit else "joints are metres, 17 of Human3.6M in order; docs/data.md"
    yield Mistake(f"legs are {leg:.3g} m long, hip to ankle", fix)


def leg_lengths(joints_m: FloatArray) -> FloatArray:
    """Return the length of both legs along their bones, ``(2 T,)`` metres."""
    legs = [np.linalg.norm(np.diff(joints_m[:, list(side[:3])], axis=1), axis=-1).sum(axis=-1) for side in (RIGHT, LEFT)]
    return np.concatenate(legs)


def order_mistakes(sequences: list[PoseSequence]) -> Iterator[Mistake]:
    """Judge the order of the joints in the motion: bones are rigid."""
    lengths = [np.linalg.norm(np.diff(s.joints_m[:, BONES], axis=2)[:, :, 0], axis=-1) for s in sequences if len(s) > 2]
    if not lengths:
        return
    spread = np.median([length.std(axis=0) / (length.mean(axis=0) + 1e-9) for length in lengths], axis=0)
    if (loose := int((spread > RIGID).sum())) > 1:
        bone = " to ".join(JOINT_NAMES[joint] for joint in reversed(BONES[int(spread.argmax())]))
        yield Mistake(
            f"{loose} bones change their length, {bone} by {100 * spread.max():.0f} %",
            "the joints are not in Human3.6M's order: docs/data.md lists it",
        )


def side_mistakes(sequences: list[PoseSequence]) -> Iterator[Mistake]:
    """Judge left and right of the motion: knees bend forwards."""
    bent = np.concatenate([knees_forward(s.joints_m) for s in sequences])
    if len(bent) > MANY and (share := float((bent > 0).mean())) < FORWARDS:
        yield Mistake(
            f"{100 * (1 - share):.0f} % of bent knees bend backwards", "left and right are exchanged, or one axis is mirrored"
        )


def knees_forward(joints_m: FloatArray) -> FloatArray:
    """Return, for each bent knee, how far it stands before the line from hip to ankle, metres; behind it is negative."""
    pelvis, thorax = joints_m[:, 0], joints_m[:, 8]
    across = joints_m[:, LEFT[HIP]] - joints_m[:, RIGHT[HIP]]
    forward = np.cross(across, thorax - pelvis)
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True) + 1e-9
    ahead = []
    for side in (RIGHT, LEFT):
        hip, knee, ankle = (joints_m[:, joint] for joint in side[:3])
        along = ankle - hip
        part = ((knee - hip) * along).sum(axis=-1, keepdims=True) / ((along**2).sum(axis=-1, keepdims=True) + 1e-9)
        off = knee - hip - part * along
        ahead.append((off * forward).sum(axis=-1)[np.linalg.norm(off, axis=-1) > STRAIGHT])
    return np.concatenate(ahead)


def picture_mistakes(sequences: list[PoseSequence]) -> Iterator[Mistake]:
    """Judge whether keypoints lie where the cameras see the joints; name the mistake that would explain it."""
    yield from tiny_mistakes([s for s in sequences if not s.camera.intrinsics[:2].all()])
    known = [s for s in sequences if s.camera.intrinsics[:2].all()]
    if not known or (apart := distance(known)) <= NEARBY:
        return
    mended = {fix: distance([undo(s) for s in known]) for fix, undo in UNDONE.items()}
    best = min(mended, key=lambda fix: mended[fix])
    share = f"{100 * min(apart, 99):.0f} % of the person's height"
    told = f"keypoints lie {apart_px(known):.0f} px, {share}, from where the cameras see the joints"
    if mended[best] * TOGETHER <= apart:
        yield Mistake(told, f"{best}; {100 * mended[best]:.1f} % remain then")
    elif apart > APART:
        yield Mistake(told, "other cameras, another order of tracks, or keypoints of other frames: docs/data.md")


def tiny_mistakes(sequences: list[PoseSequence]) -> Iterator[Mistake]:
    """Judge how large people are in the picture, where no camera tells where they should be."""
    if not sequences:
        return
    tall = [np.ptp(s.keypoints, axis=1).max(axis=-1) * s.camera.width / 2 for s in sequences]
    if (pixels := float(np.median(np.concatenate(tall)))) < TINY_PX:
        yield Mistake(f"people are {pixels:.2g} pixels large", "the keypoints are normalized already: write pixels")


def distance(sequences: list[PoseSequence]) -> float:
    """Return the median distance of keypoints from the projected motion, as a share of the person's height in the picture."""
    apart, heights = [], []
    for sequence in sequences:
        with np.errstate(all="ignore"):
            exact = project(sequence.joints_m, sequence.camera.intrinsics)
        exact = np.where((sequence.joints_m[..., 2:] > 0) & np.isfinite(exact), exact, 1e3)  # behind the camera is nowhere
        apart.append(np.linalg.norm(sequence.keypoints - exact, axis=-1).mean(axis=-1))
        heights.append(np.maximum(np.ptp(exact, axis=1).max(axis=-1), np.ptp(sequence.keypoints, axis=1).max(axis=-1)))
    return float(np.median(np.concatenate(apart) / np.clip(np.concatenate(heights), 1e-3, 4)))


def apart_px(sequences: list[PoseSequence]) -> float:
    """Return the median distance of keypoints from the projected motion, pixels."""
    found = [
        np.linalg.norm(s.keypoints - project(s.joints_m, s.camera.intrinsics), axis=-1).mean(axis=-1) * s.camera.width / 2
        for s in sequences
    ]
    return float(np.median(np.concatenate(found)))


def with_camera(sequence: PoseSequence, camera: Camera, turn: Callable[[FloatArray], FloatArray] = lambda w: w) -> PoseSequence:
    """Return the sequence as ``camera`` would see its motion, ``turn`` applied in the world."""
    world = turn(camera_to_world(sequence.joints_m, sequence.camera))
    return replace(sequence, camera=camera, joints_m=world_to_camera(world, camera).astype(np.float32))


def with_orientation(sequence: PoseSequence, order: list[int], signs: list[int]) -> PoseSequence:
    """Return the sequence seen by its camera with another reading of the quaternion."""
    camera = sequence.camera
    return with_camera(sequence, replace(camera, orientation=camera.orientation[order] * np.array(signs, np.float32)))


def with_translation(sequence: PoseSequence, factor: float) -> PoseSequence:
    """Return the sequence seen by its camera at ``factor`` times its place."""
    return with_camera(sequence, replace(sequence.camera, translation=sequence.camera.translation * factor))


def with_pixels(sequence: PoseSequence, change: Callable[[FloatArray, Camera], FloatArray]) -> PoseSequence:
    """Return the sequence with ``change`` applied to its keypoints in pixels, ``(T, 17, 2)``."""
    camera = sequence.camera
    pixels = change(denormalize_screen(sequence.keypoints, camera.width, camera.height), camera)
    return replace(sequence, keypoints=normalize_screen(pixels, camera.width, camera.height))


def camera_size(camera: Camera) -> FloatArray:
    """Return width and height, pixels."""
    return np.array([camera.width, camera.height], np.float32)


# What people get wrong, by what would mend it: a function that undoes the mistake.
UNDONE: dict[str, Callable[[PoseSequence], PoseSequence]] = {
    "orientation is (x, y, z, w): write (w, x, y, z)": lambda s: with_orientation(s, [3, 0, 1, 2], [1, 1, 1, 1]),
    "orientation turns the world into the camera: write its inverse": lambda s: with_orientation(
        s, [0, 1, 2, 3], [1, -1, -1, -1]
    ),
    "the cameras' translation is in millimetres: times 0.001": lambda s: with_translation(s, 1e-3),
    "the cameras' translation is in centimetres: times 0.01": lambda s: with_translation(s, 1e-2),
    "the motion is y up, the cameras are z up: write (x, -z, y)": lambda s: with_camera(
        s, s.camera, lambda w: np.stack([w[..., 0], -w[..., 2], w[..., 1]], axis=-1)
    ),
    "the keypoints are normalized to [-1, 1] already: write pixels": lambda s: with_pixels(
        s, lambda p, c: (p + np.array([1, c.height / c.width], np.float32)) * c.width / 2
    ),
    "the keypoints are normalized to [0, 1]: times width and height": lambda s: with_pixels(s, lambda p, c: p * camera_size(c)),
    "x and y of the keypoints are exchanged": lambda s: with_pixels(s, lambda p, c: p[..., ::-1]),
    "the keypoints are mirrored: x is width - x": lambda s: with_pixels(
        s, lambda p, c: np.stack([c.width - p[..., 0], p[..., 1]], axis=-1)
    ),
    "y of the keypoints points up: write height - y": lambda s: with_pixels(
        s, lambda p, c: np.stack([p[..., 0], c.height - p[..., 1]], axis=-1)
    ),
    "left and right of the keypoints are exchanged": lambda s: replace(s, keypoints=s.keypoints[:, MIRROR]),
    "the keypoints are in COCO's order: poseedge data keypoints FILE --layout coco makes Human3.6M's": lambda s: with_pixels(
        s, lambda p, c: coco_to_h36m(p) if p.shape[-2] == NUM_JOINTS else p
    ),
}
