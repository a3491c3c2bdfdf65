"""Test motion as other cameras and detectors would give it: each scene is keypoints and the true poses behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from benchmarks.lifted import as_clip
from poseedge.arrays import BoolArray, Float64Array, FloatArray
from poseedge.data.cameras import camera_to_world
from poseedge.data.types import PoseSequence
from poseedge.live.types import Clip
from poseedge.skeleton import MIRROR

FULL_HD = (1920, 1080)
ARM, LEG, EVERYBODY = (15, 16), (2, 3), tuple(range(17))
FIRST_GAP, GAP_EVERY = 40, 70  # the middle of the first fault, and frames from one to the next
FIRST_SECOND = 50  # frames
# A face in the head's axes (forward, left, up), metres from the middle of the ears: between anthropometry and a four-view
# triangulation of detected faces. Nose, eyes, ears in COCO's order.
EARS_FROM_NECK = (0.035, 0.0, 0.072)
FACE = ((0.100, 0, -0.030), (0.078, 0.031, 0.012), (0.078, -0.031, 0.012), (0, 0.072, 0), (0, -0.072, 0))
COCO_LIMBS = [11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]


class Scene(NamedTuple):
    """One clip, its true poses in camera axes ``(T, 17, 3)``, and the frames that count; None: all."""

    clip: Clip
    truth: FloatArray
    scored: BoolArray | None = None
    nearest_m: float = np.inf  # a joint to the camera: behind it there is no picture


@dataclass(frozen=True)
class Stand:
    """Where a camera stands and what it is: as recorded in training unless said otherwise."""

    elevation_deg: float = 7.0
    distance_m: float = 5.2
    focal_of_half_width: float = 2.3
    size: tuple[int, int] = (1000, 1000)
    aside_deg: float = 0.0  # the person stands so far to the left of the axis
    below_deg: float = 0.0  # and so far below it
    roll_deg: float = 0.0

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return self.focal_of_half_width * self.size[0] / 2


def seen_from(sequence: PoseSequence, stand: Stand) -> Float64Array:
    """Return joints ``(T, 17, 3)`` in the axes of a camera in the recorded one's direction, aimed at the middle of the way."""
    world = camera_to_world(sequence.joints_m.astype(np.float64), sequence.camera)
    middle = world.mean(axis=(0, 1))
    away = np.asarray(sequence.camera.translation, np.float64) - middle
    away[2] = 0
    away /= np.linalg.norm(away)
    rise = np.radians(stand.elevation_deg)
    eye = middle + stand.distance_m * (np.cos(rise) * away + np.sin(rise) * np.array([0, 0, 1]))
    z = (middle - eye) / stand.distance_m
    x = np.cross(z, [0, 0, 1])
    x /= np.linalg.norm(x)
    axes = np.stack([x, np.cross(z, x), z])
    return np.asarray((world - eye) @ axes.T @ turned(stand).T)


def turned(stand: Stand) -> Float64Array:
    """Return the rotation from the axes of a camera that aims at the person to those of one that looks past it."""
    aside, below, roll = np.radians([stand.aside_deg, stand.below_deg, stand.roll_deg])
    about_y = [[np.cos(aside), 0, -np.sin(aside)], [0, 1, 0], [np.sin(aside), 0, np.cos(aside)]]
    about_x = [[1, 0, 0], [0, np.cos(below), np.sin(below)], [0, -np.sin(below), np.cos(below)]]
    about_z = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_x) @ np.array(about_y)


def photographed(joints: FloatArray, stand: Stand) -> Float64Array:
    """Return the pixels of joints ``(T, K, 3)``."""
    return np.asarray(joints[..., :2] / joints[..., 2:] * stand.focal_px + np.array(stand.size) / 2)


def scene(sequence: PoseSequence, stand: Stand, fps: float = 50.0) -> Scene:
    """Return true joints as the camera sees them, at a frame rate that motion at 50 Hz is resampled to."""
    joints = seen_from(sequence, stand)
    if fps != 50.0:
        joints = at_rate(joints, fps)
    clip = as_clip(photographed(joints, stand), stand.size, fps=fps)
    return Scene(clip, joints - joints[:, :1], nearest_m=float(joints[..., 2].min()))


def at_rate(joints: Float64Array, fps: float) -> Float64Array:
    """Return motion at 50 Hz at another rate, along cubics through four frames (Catmull and Rom 1974)."""
    place = np.arange(int((len(joints) - 1) * fps / 50) + 1) * 50 / fps
    whole = np.minimum(place.astype(int), len(joints) - 2)
    t = (place - whole)[:, None, None]
    a, b, c, d = (joints[np.clip(whole + shift, 0, len(joints) - 1)] for shift in (-1, 0, 1, 2))
    return np.asarray(b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))


def zoomed(recorded: Scene, percent: float) -> Scene:
    """Return the picture scaled about its middle, so that a standing person takes ``percent`` of its width; 33 as recorded."""
    assert recorded.clip.size
    middle = np.array(recorded.clip.size) / 2
    return changed(recorded, lambda px: middle + (px - middle) * percent / 33)


def missing(whole: Scene, joints: tuple[int, ...], frames: int) -> Scene:
    """Return a scene without ``joints`` for ``frames`` frames again and again; these count."""

    def hide(px: FloatArray) -> FloatArray:
        px[:, list(joints)] = np.nan
        return px

    return fault(whole, frames, hide)


def unspoilt(whole: Scene, frames: int) -> Scene:
    """Return a scene as it is, of which the frames count that ``fault`` would spoil."""
    return fault(whole, frames, lambda px: px)


def swapped(whole: Scene, frames: int) -> Scene:
    """Return a scene with left and right exchanged for ``frames`` frames again and again; these count."""
    return fault(whole, frames, lambda px: px[:, MIRROR])


def fault(whole: Scene, frames: int, spoil: Callable[[FloatArray], FloatArray]) -> Scene:
    """Return a scene that ``spoil`` has spoilt for ``frames`` frames in every ``GAP_EVERY``; these count."""
    scored = np.zeros(len(whole.truth), np.bool_)
    px = pixels(whole).copy()
    for middle in range(FIRST_GAP, len(px) - FIRST_GAP + 1, GAP_EVERY):
        rows = slice(middle - frames // 2, middle - frames // 2 + frames)
        scored[rows] = True
        px[rows] = spoil(px[rows].copy())
    return Scene(as_clip(px, whole.clip.size or (0, 0)), whole.truth, scored)


def begun(whole: Scene, spoil: Callable[[FloatArray], FloatArray], frames: int) -> Scene:
    """Return a scene whose first ``frames`` frames ``spoil`` has spoilt; the first second counts."""
    px = pixels(whole).copy()
    px[:frames] = spoil(px[:frames].copy())
    return Scene(as_clip(px, whole.clip.size or (0, 0)), whole.truth, np.arange(len(px)) < FIRST_SECOND)


def astray(whole: Scene, frames: int) -> Scene:
    """Return a scene in which one joint is 15 to 60 % of the height away at first; which, and where, depends on the clip."""
    random = np.random.default_rng(int(1000 * pixels(whole)[0, 0, 0]))
    joint, angle, far = random.integers(1, 17), random.uniform(0, 2 * np.pi), random.uniform(0.15, 0.6) * height_px(whole)

    def spoil(px: FloatArray) -> FloatArray:
        px[:, joint] += far * np.array([np.cos(angle), np.sin(angle)])
        return px

    return begun(whole, spoil, frames)


def unseen(whole: Scene, joints: tuple[int, ...], frames: int) -> Scene:
    """Return a scene without ``joints`` at first."""

    def hide(px: FloatArray) -> FloatArray:
        px[:, list(joints)] = np.nan
        return px

    return begun(whole, hide, frames)


def noisy(whole: Scene, percent: float, seed: int) -> Scene:
    """Return a scene with white noise of ``percent`` of the body's height on every coordinate."""
    sigma = percent / 100 * height_px(whole)
    return changed(whole, lambda px: px + np.random.default_rng(seed).normal(0, sigma, px.shape))


def wild(whole: Scene, percent: float, seed: int) -> Scene:
    """Return a scene where gross errors begin at ``percent`` of joints and frames: of 1 to 3 frames, 15 to 60 % of the height."""
    random = np.random.default_rng(seed)

    def spoil(px: FloatArray) -> FloatArray:
        px = px.copy()
        for frame, joint in np.argwhere(random.uniform(size=px.shape[:2]) < percent / 100):
            angle, far = random.uniform(0, 2 * np.pi), random.uniform(0.15, 0.6) * height_px(whole)
            px[frame : frame + random.integers(1, 4), joint] += far * np.array([np.cos(angle), np.sin(angle)])
        return px

    return changed(whole, spoil)


def with_face(sequence: PoseSequence, stand: Stand, face: bool = True) -> Scene:
    """Return COCO keypoints: the limbs and a face of its own shape; without ``face`` it is not seen."""
    joints = seen_from(sequence, stand)
    coco = np.concatenate([face_of(joints), joints[:, COCO_LIMBS]], axis=1)
    px = photographed(coco, stand)
    if not face:
        px[:, : len(FACE)] = np.nan
    return Scene(as_clip(px, stand.size, "coco17"), joints - joints[:, :1])


def face_of(joints: FloatArray) -> Float64Array:
    """Return nose, eyes and ears ``(T, 5, 3)`` of heads."""
    neck, up = joints[:, 9], unit(joints[:, 10] - joints[:, 9])
    left = joints[:, 11] - joints[:, 14]
    left = unit(left - (left * up).sum(axis=-1, keepdims=True) * up)
    axes = np.stack([np.cross(left, up), left, up], axis=1)  # forward, left, up
    return np.asarray(neck[:, None] + (np.array(FACE) + EARS_FROM_NECK) @ axes)


def unit(vectors: FloatArray) -> Float64Array:
    """Return vectors ``(T, 3)`` of length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def pixels(whole: Scene) -> FloatArray:
    """Return the keypoints of a scene's one person, who is seen in every frame."""
    return whole.clip.tracks[0].keypoints


def height_px(whole: Scene) -> float:
    """Return the person's median height in the picture."""
    return float(np.median(np.ptp(pixels(whole)[..., 1], axis=1)))


def changed(whole: Scene, change: Callable[[FloatArray], FloatArray]) -> Scene:
    """Return a scene with other pixels."""
    track = replace(whole.clip.tracks[0], keypoints=change(pixels(whole)).astype(np.float32))
    return whole._replace(clip=replace(whole.clip, tracks=(track,)))
