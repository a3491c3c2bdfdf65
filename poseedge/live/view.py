"""What a window looks like to the network: as in the papers, or through a virtual camera that is turned to the person."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from poseedge.arrays import Float64Array
from poseedge.data.cameras import normalize_screen
from poseedge.live.trained import TrainedOn
from poseedge.live.types import Floats
from poseedge.live.world import level
from poseedge.skeleton import NUM_JOINTS

ViewName = Literal["person", "plain"]
Turn = npt.NDArray[np.float32]  # (3, 3)
Nine = tuple[float, ...]  # a matrix (3, 3), row by row
Aim = Callable[[float, float, float], tuple[Nine, float]]  # along a ray of the camera

# Of an unknown camera: its focal length is 0.9 of the picture's longer side, and more where the person, taken to be 1.7 m tall,
# would stand nearer than 4 m. Measured: too short a guess costs up to 10 mm of P-MPJPE, too long a one at most 3.
FOCAL_OF_LONGER_SIDE, NEAREST_M, TALL_M = 0.9, 4.0, 1.7
# Of a standing person's height: shoulder to hip, hip to knee, knee to ankle (Drillis and Contini 1966).
TRUNK_AND_LEG = 0.288 + 0.245 + 0.246
_FOCAL_OF_LENGTH = NEAREST_M / TALL_M / TRUNK_AND_LEG  # both in pixels, of a person who stands nearest
_SIZE_SHARE = 0.9  # the quantile over a window's frames: where the person stands straightest
_STRAIGHT_UP = 1e-6  # a ray with less across the camera
_LEAST_EXTENT = 1e-6  # of a person whose joints all coincide


@dataclass(frozen=True)
class Shot:
    """How the picture was taken, as far as it is known."""

    width: int
    height: int
    focal_px: float | None = None
    pitch_deg: float | None = None  # the camera looks down by so much; None: unknown
    roll_deg: float | None = None  # the camera is turned clockwise, seen from behind it

    @property
    def level(self) -> Float64Array:
        """Rotation ``(3, 3)`` from the camera's axes (x right, y down, z forward) to level ones."""
        return level(self.pitch_deg or 0, self.roll_deg or 0)


class PlainView:
    """The papers' way: pixels by half the picture's width, its middle at zero."""

    def __init__(self, shot: Shot) -> None:
        self._shot = shot

    def see(self, window: Sights) -> tuple[Floats, Turn | None]:
        """Return the network's input of a window; its poses need no turn."""
        return np.ascontiguousarray(normalize_screen(window.px, self._shot.width, self._shot.height), np.float32), None


class PersonView:
    """A virtual camera per window: turned so that the person is in the middle, and zoomed to the size that the network knows.

    Without it a network that was trained with one distance of the camera is lost at others; measured in docs/lift.md.
    """

    def __init__(self, shot: Shot, trained: TrainedOn) -> None:
        self._size, self._elevation, self._share = trained.person_size, math.radians(trained.elevation_deg), trained.lean_share
        self._focal_px, self._lean_is_known = shot.focal_px, shot.pitch_deg is not None
        is_level = not (shot.pitch_deg or shot.roll_deg)
        self._aim: Aim = aimed if is_level else partial(aimed_from, tuple(shot.level.ravel().tolist()))
        self._middle = shot.width / 2, shot.height / 2
        self._least_focal = FOCAL_OF_LONGER_SIDE * max(shot.width, shot.height)

    def see(self, window: Sights) -> tuple[Floats, Turn | None]:
        """Return the network's input ``(F, 17, 2)`` of a window, and the turn from its poses to camera axes.

        Poses are rows: ``pose @ turn``.
        """
        points, facts = window
        u, v, length_px = usual(facts)
        focal = self._focal_px or max(self._least_focal, length_px * _FOCAL_OF_LENGTH)
        mu, mv = self._middle
        turn, elevation = self._aim(u - mu, v - mv, focal)
        a, b, c, d, e, f, g, h, i = turn  # of rays (u - mu, v - mv, focal)
        # The same of pixels (u, v, 1):
        c, f, i = c * focal - a * mu - b * mv, f * focal - d * mu - e * mv, i * focal - g * mu - h * mv
        longest = max(upper(lengths_seen((a, b, c, d, e, f, g, h, i), facts)), _LEAST_EXTENT) / self._size
        shown = np.array((a, b, c, d, e, f, g * longest, h * longest, i * longest), np.float32)
        seen = shown.reshape(3, 3) @ points  # three long rows: four times as fast as pairs
        screen = np.empty((facts.shape[1], NUM_JOINTS, 2), np.float32)
        np.divide(seen[:2], seen[2], out=screen.reshape(-1, 2).T)
        if self._lean_is_known:
            turn = product(about_x(self._share * (self._elevation - elevation)), turn)
        return screen, np.array(turn, np.float32).reshape(3, 3)


def product(one: Nine, other: Nine) -> Nine:
    """Return the matrix product of two matrices."""
    return tuple((np.reshape(one, (3, 3)) @ np.reshape(other, (3, 3))).ravel().tolist())


def aimed(x: float, y: float, z: float) -> tuple[Nine, float]:
    """Return the rotation of a level camera that looks along a ray, and how far down it looks, in radians."""
    across, length = math.hypot(x, z), math.sqrt(x * x + y * y + z * z)
    sin, cos = y / length, across / length
    right_x, right_z = (z / across, -x / across) if across > _STRAIGHT_UP else (1.0, 0.0)  # of a level vector
    rotation = (right_x, 0.0, right_z, sin * right_z, cos, -sin * right_x, -cos * right_z, sin, cos * right_x)
    return rotation, math.atan2(y, across)


def aimed_from(level: Nine, x: float, y: float, z: float) -> tuple[Nine, float]:
    """Return the same of a camera that ``level`` turns to level axes."""
    a, b, c, d, e, f, g, h, i = level
    aim, elevation = aimed(a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z)
    return product(aim, level), elevation


def about_x(angle: float) -> Nine:
    """Return the right-handed rotation about the x axis, radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    return 1.0, 0.0, 0.0, 0.0, cos, -sin, 0.0, sin, cos


class Sights(NamedTuple):
    """A window of keypoints in pixels, and what is known of each of its frames."""

    points: Floats  # (3, F * 17) rows (u, v, 1)
    facts: Floats  # (8, F), see ``facts_of``

    @property
    def px(self) -> Floats:
        """The keypoints ``(F, 17, 2)``."""
        return self.points[:2].reshape(2, -1, NUM_JOINTS).transpose(1, 2, 0)

    @classmethod
    def of(cls, px: Floats) -> Sights:
        """Return keypoints ``(F, 17, 2)`` as a window."""
        points = np.ones((3, px.shape[0] * px.shape[1]), np.float32)
        points[:2] = px.reshape(-1, 2).T
        return cls(points, np.array([facts_of(row) for row in px], np.float32).T)


def facts_of(px: Floats) -> tuple[float, ...]:
    """Return of a person ``(17, 2)`` the middle (u, v), the length, its middle as (u, v, 1), its parts across and down.

    A person's length is that of the trunk and of the longer leg: thigh and shank. Its parts sum to it.
    """
    return facts_at(points_of(px))


def points_of(px: Floats) -> list[complex]:
    """Return joints ``(17, 2)`` as numbers u + iv: so few are sooner reckoned with in Python than in numpy."""
    points: list[complex] = np.ascontiguousarray(px, np.float32).view(np.complex64).ravel().tolist()
    return points


def facts_at(points: list[complex]) -> tuple[float, ...]:
    """Return ``facts_of`` joints that are given as ``points_of`` does."""
    hip, knee, ankle, other_hip, other_knee, other_ankle = points[1:7]
    hips, shoulders = (hip + other_hip) / 2, (points[11] + points[14]) / 2
    spine, femur, tibia = shoulders - hips, hip - knee, knee - ankle
    other_femur, other_tibia = other_hip - other_knee, other_knee - other_ankle
    trunk, thigh, shank, other_thigh, other_shank = abs(spine), abs(femur), abs(tibia), abs(other_femur), abs(other_tibia)
    if thigh + shank < other_thigh + other_shank:
        hip, knee, ankle, femur, tibia = other_hip, other_knee, other_ankle, other_femur, other_tibia
        thigh, shank = other_thigh, other_shank
    length = trunk + thigh + shank
    across = spine.real**2 / (trunk or 1) + femur.real**2 / (thigh or 1) + tibia.real**2 / (shank or 1)
    middle = trunk * (shoulders + hips) + thigh * (hip + knee) + shank * (knee + ankle)
    middle, mean = middle / max(2 * length, _LEAST_EXTENT), sum(points) / NUM_JOINTS
    return mean.real, mean.imag, length, middle.real, middle.imag, 1.0, across, length - across


def usual(facts: Floats) -> tuple[float, float, float]:
    """Return where the person of ``facts (8, F)`` usually is in the picture (u, v), and how long where it looks longest."""
    rows = facts[:3].copy()
    rows.sort()  # sooner done than a partition at three places
    half = rows.shape[1] // 2
    return rows.item(0, half), rows.item(1, half), upper(rows[2])


def lengths_seen(shown: Nine, facts: Floats) -> Floats:
    """Return, in order, the lengths ``(F,)`` of a person in a picture that ``shown`` makes of pixels, from ``facts (8, F)``.

    In each frame pixels are stretched, across and down, as they are in the middle of the length: to the first order. Of
    x = X / Z that is (Z dX - X dZ) / Z^2, and both products in it hold the pixel's u and v once each at most: the rest cancels.
    """
    a, b, c, d, e, f, g, h, i = shown
    ah, ai, bi, dh, di, ei = a * h - b * g, a * i - c * g, b * i - c * h, d * h - e * g, d * i - f * g, e * i - f * h
    stretches = np.array((0, ah, ai, -ah, 0, bi, 0, dh, di, -dh, 0, ei, g, h, i), np.float32)  # of x and of y, across and down; Z
    found = stretches.reshape(5, 3) @ facts[3:6]
    found *= found
    parts = found[:2] + found[2:4]
    np.sqrt(parts, out=parts)
    parts *= facts[6:]
    lengths = parts[0] + parts[1]
    lengths /= found[4]
    lengths.sort()
    return lengths


def upper(ordered: Floats) -> float:
    """Return how long a person looks where it looks longest, of lengths ``(F,)`` in ascending order."""
    below, share = _places(len(ordered))
    low = ordered.item(below)
    return low + share * (ordered.item(below + 1) - low)


@cache
def _places(count: int) -> tuple[int, float]:
    """Return below which place of ``count`` lengths the quantile lies, and how far on the way to the next."""
    place = _SIZE_SHARE * (count - 1)
    below = min(int(place), count - 2)  # of a single length: -1, which is that length, too
    return below, place - below
