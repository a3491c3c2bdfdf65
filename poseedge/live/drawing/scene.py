"""The 3D half of the picture: people on a floor, seen by a camera that stands or goes round them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.live.detectors.person import Picture
from poseedge.live.drawing.ink import (
    AGAINST_COLOUR,
    FAINT,
    MIDDLE_COLOUR,
    Colour,
    blended,
    colour_of,
    dot,
    line,
    lines,
    places,
    text,
)
from poseedge.live.types import Flags, Floats
from poseedge.skeleton import BONES

Points = npt.NDArray[np.float64]

_ABOVE: Colour = (30, 34, 42)  # the wall's colour at the top of the picture
_BELOW: Colour = (52, 58, 70)
_GRID: Colour = (120, 128, 146)
_SHADOW: Colour = (20, 23, 28)
_HEIGHT_M, _MARGIN = 1.9, 1.3  # what is to be seen of a person standing, and how much more
_ELEVATION_DEG, _FIELD_DEG = 14.0, 34.0
_ARM_M, _STEP_M = 0.9, 0.25  # beside a person's middle, and by how much the camera steps back at a time
_SWING_S = 12.0  # once around
_GRID_M, _GRID_REACH = 0.5, 5  # between two lines, and lines to each side
_SHADES = 12  # of its lines, from the middle to the edge
_HEAD = 10


@dataclass(frozen=True)
class Figure:
    """One person in one frame, as drawn."""

    id: int
    pose_m: Floats | None  # (17, 3) metres, y up; to be drawn, where it stands on the floor y = 0. None: no pose
    keypoints_px: Floats  # (17, 2), NaN where there is none
    faint: Flags  # (17,) filled or unsure
    against_m: Floats | None = None  # (17, 3) as ``pose_m``, by another network


@dataclass(frozen=True)
class View:
    """Where the camera stands: degrees to the left of the source's camera, and whether it goes round."""

    azimuth_deg: float = 35.0
    turning: bool = False

    def azimuth_at(self, time_s: float) -> float:
        """Return the direction in degrees at a time of the source."""
        return self.azimuth_deg + (360.0 * time_s / _SWING_S if self.turning else 0.0)


class Scene:
    """Draws figures in a picture of ``size`` (width, height)."""

    def __init__(self, size: tuple[int, int], view: View) -> None:
        self._size, self._view = size, view
        self._reach_m = _ARM_M
        shade = np.linspace(0, 1, size[1])[:, None] ** 1.5
        wall = np.array(_ABOVE) * (1 - shade) + np.array(_BELOW) * shade
        self._ground = np.repeat(wall[:, None].astype(np.uint8), size[0], axis=1)
        self._empty: tuple[_Camera, Picture] | None = None

    def draw(self, figures: Sequence[Figure], time_s: float) -> Picture:
        """Return the picture of the people at ``time_s``."""
        camera = self._camera(figures, time_s)
        picture = self._floor(camera)
        posed = [(figure, figure.pose_m.astype(np.float64)) for figure in figures if figure.pose_m is not None]
        for _, pose in posed:
            _draw_shadow(picture, camera, pose)
        for figure, pose in sorted(posed, key=lambda item: -camera.depth(item[1][:1])[0]):
            _draw_person(picture, camera, pose, figure.faint)
            if figure.against_m is not None:
                _draw_wire(picture, camera, figure.against_m)
            if len(posed) > 1:
                above = camera.project(pose[_HEAD] + [0, 0.22, 0])
                text(picture, str(figure.id), (round(above[0]) - 5, round(above[1])), MIDDLE_COLOUR)
        return picture

    def _floor(self, camera: _Camera) -> Picture:
        """Return the empty room; kept while the camera stands still."""
        if self._empty is None or self._empty[0] != camera:
            picture = self._ground.copy()
            _draw_floor(picture, camera)
            self._empty = camera, picture
        return self._empty[1].copy()

    def _camera(self, figures: Sequence[Figure], time_s: float) -> _Camera:
        """Return the camera; it steps back once for people farther out and stays there, so that the picture is calm."""
        for figure in figures:
            if figure.pose_m is not None:
                needed = float(np.abs(figure.pose_m[0, [0, 2]]).max()) + _ARM_M
                self._reach_m = max(self._reach_m, float(np.ceil(needed / _STEP_M) * _STEP_M))
        field = np.tan(np.radians(_FIELD_DEG / 2))
        narrow = min(1.0, self._size[0] / self._size[1])
        away = max(_HEIGHT_M * _MARGIN / 2 / field, self._reach_m / field / narrow)
        return _Camera(self._size, round(self._view.azimuth_at(time_s), 3), away)


@dataclass(frozen=True)
class _Camera:
    size: tuple[int, int]
    azimuth_deg: float
    away_m: float

    def project(self, points: npt.NDArray[Any]) -> Points:
        """Return pixels ``(..., 2)`` of points ``(..., 3)``."""
        seen = self._seen(points)
        focal = self.size[1] / 2 / np.tan(np.radians(_FIELD_DEG / 2))
        depth = np.maximum(seen[..., 2:], 0.1)
        return np.asarray(seen[..., :2] * [focal, -focal] / depth + np.array(self.size) / 2)

    def depth(self, points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return metres from the camera of points ``(..., 3)``."""
        return np.asarray(self._seen(points)[..., 2])

    def _seen(self, points: npt.NDArray[Any]) -> Points:
        """Return points in the camera's axes: right, up, away."""
        around, down = np.radians(self.azimuth_deg), np.radians(_ELEVATION_DEG)
        x, y, z = np.moveaxis(np.asarray(points, np.float64) - [0, _HEIGHT_M / 2, 0], -1, 0)
        right, near = x * np.cos(around) + z * np.sin(around), z * np.cos(around) - x * np.sin(around)
        up, nearer = y * np.cos(down) - near * np.sin(down), near * np.cos(down) + y * np.sin(down)
        return np.stack([right, up, self.away_m - nearer], axis=-1)


def _draw_floor(picture: Picture, camera: _Camera) -> None:
    """Draw a square grid whose lines fade towards its edge."""
    reach = _GRID_M * _GRID_REACH
    stops = np.linspace(-reach, reach, 4 * _GRID_REACH + 1)
    along = np.stack(np.broadcast_arrays(stops[:, None], 0.0, stops[::2]), axis=-1)  # (stops, lines, 3)
    distance = np.linalg.norm((along[1:] + along[:-1]) / 2, axis=-1) / reach
    shade = np.ceil(np.clip(1 - distance, 0, 1) * _SHADES).astype(int)
    for points in (camera.project(along), camera.project(along[..., ::-1])):
        pieces = np.stack([points[:-1], points[1:]], axis=2)
        for level in range(_SHADES + 1):
            lines(picture, pieces[shade == level], blended(_GRID, _BELOW, 0.04 + 0.75 * level / _SHADES))


def _draw_shadow(picture: Picture, camera: _Camera, pose: Points) -> None:
    """Draw where the person is above the floor: it shows the third dimension."""
    points = places(camera.project(pose * [1, 0, 1]))
    for joint, parent in BONES:
        line(picture, points[joint], points[parent], _SHADOW, 5)


def _draw_person(picture: Picture, camera: _Camera, pose: Points, faint: Flags) -> None:
    """Draw bones from the farthest to the nearest, nearer ones thicker and brighter."""
    points, depth = places(camera.project(pose)), camera.depth(pose)
    size = camera.size[1] / 720 * 4.0 / camera.away_m * 9
    nearness = np.clip(0.5 + (np.mean(depth) - depth) / 1.2, 0, 1)
    for joint, parent in sorted(BONES, key=lambda bone: -(depth[bone[0]] + depth[bone[1]])):
        pale = faint[joint] or faint[parent]
        near = (nearness[joint] + nearness[parent]) / 2
        width = max(2, round(size * (0.75 + 0.5 * near) * (0.6 if pale else 1)))
        colour = blended(colour_of(joint), _BELOW, (FAINT if pale else 1.0) * (0.7 + 0.3 * near))
        line(picture, points[joint], points[parent], _SHADOW, width + 3)
        line(picture, points[joint], points[parent], colour, width)
        for end in (parent, joint):
            tone = blended(colour_of(end), _BELOW, (FAINT if faint[end] else 1.0) * (0.75 + 0.25 * nearness[end]))
            dot(picture, points[end], width * 0.72, blended(tone, (255, 255, 255), 0.8))


def _draw_wire(picture: Picture, camera: _Camera, pose: npt.NDArray[Any]) -> None:
    """Draw a person thinly, over another who stays to be seen."""
    points, width = places(camera.project(pose)), max(2, round(camera.size[1] / 360))
    for joint, parent in BONES:
        line(picture, points[joint], points[parent], AGAINST_COLOUR, width)
    for point in points:
        dot(picture, point, 1.5 * width, AGAINST_COLOUR)
