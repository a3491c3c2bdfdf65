"""What a window looks like to the network: as in the papers, or through a virtual camera that is turned to the person."""

from __future__ import annotations

import math
from dataclasses import dataclass
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

# Of an unknown camera: its focal length is 0.9 of the picture's longer side, and more where the person, taken to be 1.7 m tall,
# would stand nearer than 4 m. Measured: too short a guess costs up to 10 mm of P-MPJPE, too long a one at most 3.
FOCAL_OF_LONGER_SIDE, NEAREST_M, TALL_M = 0.9, 4.0, 1.7
# Of a standing person's height: shoulder to hip, hip to knee, knee to ankle (Drillis and Contini 1966).
TRUNK_AND_LEG = 0.288 + 0.245 + 0.246
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
        return np.asarray(normalize_screen(window.px, self._shot.width, self._shot.height), np.float32), None


class PersonView:
    """A virtual camera per window: turned so that the person is in the middle, and zoomed to the size that the network knows.

    Without it a network that was trained with one distance of the camera is lost at others; measured in docs/lift.md.
    """

    def __init__(self, shot: Shot, trained: TrainedOn) -> None:
        self._size, self._elevation, self._share = trained.person_size, math.radians(trained.elevation_deg), trained.lean_share
        self._shot, self._level, self._lean_is_known = shot, shot.level, shot.pitch_deg is not None
        self._is_level = not (shot.pitch_deg or shot.roll_deg)
        self._aside = shot.level @ ((1, 0, -shot.width / 2), (0, 1, -shot.height / 2), (0, 0, 0))
        self._ahead = shot.level @ ((0, 0, 0), (0, 0, 0), (0, 0, 1))

    def see(self, window: Sights) -> tuple[Floats, Turn | None]:
        """Return the network's input ``(F, 17, 2)`` of a window, and the turn from its poses to camera axes.

        Poses are rows: ``pose @ turn``.
        """
        length = len(window.px)
        middles = window.facts[:2].copy()
        middles.partition(length // 2)
        u, v = middles[:, length // 2].tolist()
        rays = self._rays(window.facts[5])
        aim, elevation = aimed(rays @ np.array((u, v, 1.0)))
        homography = (aim @ rays).astype(np.float32)
        homography[:2] *= self._size / max(upper(lengths_seen(homography, window.facts)), _LEAST_EXTENT)
        seen = homography @ window.points  # one product of three long rows: four times as fast as of pairs
        np.reciprocal(seen[2], out=seen[2])
        screen = np.empty(window.px.shape, np.float32)
        pairs = screen.reshape(-1, 2)
        np.multiply(seen[0], seen[2], out=pairs[:, 0])
        np.multiply(seen[1], seen[2], out=pairs[:, 1])
        if self._lean_is_known:
            aim = about_x(self._share * (self._elevation - elevation)) @ aim
        turn = aim if self._is_level else aim @ self._level
        return screen, turn.astype(np.float32)

    def _rays(self, lengths_px: Floats) -> Float64Array:
        """Return the matrix ``(3, 3)`` from pixels (u, v, 1) to their rays in level axes."""
        shot = self._shot
        focal = shot.focal_px or max(
            FOCAL_OF_LONGER_SIDE * max(shot.width, shot.height), upper(lengths_px.copy()) * NEAREST_M / TALL_M / TRUNK_AND_LEG
        )
        return self._aside / focal + self._ahead


def aimed(ray: Float64Array) -> tuple[Float64Array, float]:
    """Return the rotation ``(3, 3)`` of a level camera that looks along ``ray``, and how far down it looks, in radians."""
    x, y, z = ray.tolist()
    across, length = math.hypot(x, z), math.sqrt(x * x + y * y + z * z)
    sin, cos = y / length, across / length
    right = (z / across, -x / across) if across > _STRAIGHT_UP else (1.0, 0.0)  # x and z of a level vector
    forward = (-right[1], right[0])
    rows = (
        (right[0], 0.0, right[1]),
        (-sin * forward[0], cos, -sin * forward[1]),
        (cos * forward[0], sin, cos * forward[1]),
    )
    return np.array(rows), math.asin(max(min(sin, 1.0), -1.0))


def about_x(angle: float) -> Float64Array:
    """Return the right-handed rotation ``(3, 3)`` about the x axis, radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


class Sights(NamedTuple):
    """A window of keypoints in pixels, and what is known of each of its frames."""

    px: Floats  # (F, 17, 2)
    points: Floats  # (3, F * 17) the same as rows (u, v, 1)
    facts: Floats  # (8, F), see ``facts_of``

    @classmethod
    def of(cls, px: Floats) -> Sights:
        """Return keypoints ``(F, 17, 2)`` as a window."""
        points = np.ones((3, px.shape[0] * px.shape[1]), np.float32)
        points[:2] = px.reshape(-1, 2).T
        return cls(px, points, np.array([facts_of(row) for row in px], np.float32).T)


def facts_of(px: Floats) -> tuple[float, ...]:
    """Return of a person ``(17, 2)`` the middle (u, v), that of the length as (u, v, 1), the length, its parts across and down.

    A person's length is that of the trunk and of the longer leg: thigh and shank. Its parts sum to it.
    """
    at = px.ravel().tolist()
    trunk = _bone((at[22] + at[28]) / 2, (at[23] + at[29]) / 2, (at[2] + at[8]) / 2, (at[3] + at[9]) / 2)
    thigh, shank = _bone(*at[2:6]), _bone(*at[4:8])
    other_thigh, other_shank = _bone(*at[8:12]), _bone(*at[10:14])
    if thigh[0] + shank[0] < other_thigh[0] + other_shank[0]:
        thigh, shank = other_thigh, other_shank
    length, across, u, v = (one + two + three for one, two, three in zip(trunk, thigh, shank, strict=True))
    share = 1 / max(length, _LEAST_EXTENT)
    return sum(at[::2]) / NUM_JOINTS, sum(at[1::2]) / NUM_JOINTS, u * share, v * share, 1.0, length, across, length - across


def _bone(u: float, v: float, to_u: float, to_v: float) -> tuple[float, float, float, float]:
    """Return a bone's length, the part that its way across has in it, and its middle (u, v) times the length."""
    across, down = u - to_u, v - to_v
    length = math.hypot(across, down)
    half = length / 2
    return length, across * across / length if length else 0.0, half * (u + to_u), half * (v + to_v)


def lengths_seen(homography: Floats, facts: Floats) -> Floats:
    """Return the lengths ``(F,)`` of a person in a picture ``homography (3, 3)`` away, from ``facts (8, F)``.

    In each frame pixels are stretched, across and down, as they are in the middle of the length: to the first order.
    """
    middle = homography @ facts[2:5]
    nearness = np.reciprocal(middle[2])
    middle = middle[:2] * nearness
    stretched = homography[2, :2, None] * middle[:, None]  # (2, 2, F): of a picture's axis, along one of the other's
    np.subtract(homography[:2, :2, None], stretched, out=stretched)
    stretched *= stretched
    parts = stretched[0] + stretched[1]
    np.sqrt(parts, out=parts)
    parts *= facts[6:8]
    lengths = parts[0] + parts[1]
    lengths *= nearness
    return np.asarray(lengths)


def upper(lengths: Floats) -> float:
    """Return how long a person looks where it looks longest, of ``lengths (F,)``, which are put into another order."""
    place = _SIZE_SHARE * (len(lengths) - 1)
    below = int(place)
    lengths.partition((below, min(below + 1, len(lengths) - 1)))
    ordered = lengths[below : below + 2].tolist()
    return float(ordered[0] + (place - below) * (ordered[-1] - ordered[0]))
