"""What a window looks like to the network: as in the papers, or through a virtual camera that is turned to the person."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

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

# Bones whose lengths make a person's size: trunk, then thigh and shank of the right and the left leg.
_TRUNK = ((11, 14), (1, 4))  # from the middle of the shoulders to that of the hips
_LEGS = ((1, 2), (2, 3), (4, 5), (5, 6))


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

    def see(self, px: Floats) -> tuple[Floats, Turn | None]:
        """Return the network's input of keypoints ``(F, 17, 2)`` in pixels; its poses need no turn."""
        return np.asarray(normalize_screen(px, self._shot.width, self._shot.height), np.float32), None


class PersonView:
    """A virtual camera per window: turned so that the person is in the middle, and zoomed to the size that the network knows.

    Without it a network that was trained with one distance of the camera is lost at others; measured in docs/lift.md.
    """

    def __init__(self, shot: Shot, trained: TrainedOn) -> None:
        self._size, self._elevation, self._share = trained.person_size, math.radians(trained.elevation_deg), trained.lean_share
        self._shot, self._level, self._lean_is_known = shot, shot.level, shot.pitch_deg is not None

    def see(self, px: Floats) -> tuple[Floats, Turn | None]:
        """Return the network's input of keypoints ``(F, 17, 2)`` in pixels, and the turn from its poses to camera axes.

        Poses are rows: ``pose @ turn``.
        """
        flat = px.reshape(len(px), -1)
        middles = flat @ _CENTRE
        middles.partition(len(px) // 2, axis=0)
        u, v = middles[len(px) // 2].tolist()
        rays = self._rays(flat)
        aim, elevation = aimed(rays @ (u, v, 1.0))
        homography = (aim @ rays).astype(np.float32)
        points = flat.reshape(-1, 2)
        screen = (points @ homography[:2, :2].T).reshape(flat.shape)
        screen += homography[_U_AND_V, 2]
        depth = points @ homography[2, :2]
        depth += homography[2, 2]
        screen.reshape(-1, 2).view(np.complex64)[:, 0] *= np.reciprocal(depth)  # one factor for u and v, four times as fast
        screen *= np.float32(self._size / max(extent(screen), _LEAST_EXTENT))
        if self._lean_is_known:
            aim = about_x(self._share * (self._elevation - elevation)) @ aim
        return screen.reshape(px.shape), (aim @ self._level).astype(np.float32)

    def _rays(self, flat: Floats) -> Float64Array:
        """Return the matrix ``(3, 3)`` from pixels (u, v, 1) to their rays in level axes."""
        shot = self._shot
        focal = shot.focal_px or max(
            FOCAL_OF_LONGER_SIDE * max(shot.width, shot.height), extent(flat) * NEAREST_M / TALL_M / TRUNK_AND_LEG
        )
        return self._level @ ((1 / focal, 0, -shot.width / 2 / focal), (0, 1 / focal, -shot.height / 2 / focal), (0, 0, 1))


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


def extent(screen: Floats) -> float:
    """Return a person's size over a window, flat keypoints ``(F, 34)``: trunk and longer leg, where they look longest."""
    bones = screen @ _BONES
    length = np.hypot(bones[:, 0::2], bones[:, 1::2])
    whole = length[:, 0] + np.maximum(length[:, 1] + length[:, 2], length[:, 3] + length[:, 4])
    place = _SIZE_SHARE * (len(whole) - 1)
    below = int(place)
    whole.partition((below, min(below + 1, len(whole) - 1)))
    ordered = whole[below : below + 2].tolist()
    return float(ordered[0] + (place - below) * (ordered[-1] - ordered[0]))


def _differences() -> Floats:
    """Return ``(34, 10)``: from flat keypoints to the trunk and the four bones of the legs, as vectors."""
    matrix = np.zeros((NUM_JOINTS, 5), np.float32)
    for (one, other), sign in zip(_TRUNK, (0.5, -0.5), strict=True):
        matrix[[one, other], 0] = sign
    for number, (upper, lower) in enumerate(_LEGS, start=1):
        matrix[upper, number], matrix[lower, number] = 1, -1
    return np.kron(matrix, np.eye(2, dtype=np.float32))


_BONES = _differences()
_CENTRE = np.kron(np.full((NUM_JOINTS, 1), 1 / NUM_JOINTS, np.float32), np.eye(2, dtype=np.float32))  # (34, 2)
_U_AND_V = np.tile([0, 1], NUM_JOINTS)
