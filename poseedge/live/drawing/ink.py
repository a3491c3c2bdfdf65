"""Colours, and lines and text that OpenCV draws smoothly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.errors import require
from poseedge.live.detectors.person import Picture
from poseedge.skeleton import BONES, LEFT, RIGHT

Colour = tuple[int, int, int]  # RGB
Place = tuple[int, int]  # in sixteenths of a pixel
PicturePoints = npt.NDArray[Any]  # (N, 2) pixels

LEFT_COLOUR: Colour = (64, 176, 255)
RIGHT_COLOUR: Colour = (255, 148, 64)
MIDDLE_COLOUR: Colour = (236, 238, 242)
AGAINST_COLOUR: Colour = (128, 255, 190)  # of another network's pose over the first
OUTLINE: Colour = (14, 16, 20)
FAINT = 0.35  # how much of its colour a joint keeps that was filled or is unsure
_FAR = 10_000.0  # pixels; nearer than where OpenCV's integers end
_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel


def colour_of(joint: int) -> Colour:
    """Return the colour of a joint and of the bone that leads to it."""
    return LEFT_COLOUR if joint in LEFT else RIGHT_COLOUR if joint in RIGHT else MIDDLE_COLOUR


def blended(colour: Colour, other: Colour, share: float) -> Colour:
    """Return ``share`` of ``colour`` and the rest of ``other``."""
    red, green, blue = (round(share * one + (1 - share) * two) for one, two in zip(colour, other, strict=True))
    return red, green, blue


def places(points: npt.NDArray[Any]) -> list[Place]:
    """Return where ``points (N, 2)`` lie, in what ``line`` and ``dot`` take; NaN, which is not to be drawn, as the corner."""
    near = np.clip(np.nan_to_num(np.asarray(points, np.float64)), -_FAR, _FAR)
    return [(x, y) for x, y in np.round(near * 2**_SHIFT).astype(np.int64).tolist()]


def line(picture: Picture, start: Place, end: Place, colour: Colour, width: int) -> None:
    """Draw a line between two points."""
    cv2 = require("cv2", "demo")
    cv2.line(picture, start, end, colour, width, cv2.LINE_AA, _SHIFT)


def lines(picture: Picture, ends: npt.NDArray[Any], colour: Colour) -> None:
    """Draw thin lines ``(N, 2, 2)``: start and end of each, in pixels."""
    cv2 = require("cv2", "demo")
    fixed = np.round(np.clip(ends, -_FAR, _FAR) * 2**_SHIFT).astype(np.int32)
    cv2.polylines(picture, list(fixed), False, colour, 1, cv2.LINE_AA, _SHIFT)


def dot(picture: Picture, at: Place, radius: float, colour: Colour, width: int = -1) -> None:
    """Draw a disc, or a ring if ``width`` is positive."""
    cv2 = require("cv2", "demo")
    cv2.circle(picture, at, round(radius * 2**_SHIFT), colour, width, cv2.LINE_AA, _SHIFT)


def skeleton(picture: Picture, points: PicturePoints, faint: npt.NDArray[np.bool_], thickness: float) -> None:
    """Draw a person ``(17, 2)`` over a picture: bones with a dark rim, so that they are seen on any ground.

    Joints that are NaN are left out; ``faint`` ones ``(17,)`` are rings, and their bones thin and pale.
    """
    at, pale = places(points), faint.tolist()
    there = np.asarray(~np.isnan(points).any(axis=-1)).tolist()
    bones = [(joint, parent) for joint, parent in BONES if there[joint] and there[parent]]
    for joint, parent in bones:
        width = _bone_width(thickness, pale[joint] or pale[parent])
        line(picture, at[joint], at[parent], OUTLINE, width + max(2, round(thickness / 2)))
    for joint, parent in bones:
        dim = pale[joint] or pale[parent]
        colour = blended(colour_of(joint), OUTLINE, 0.6) if dim else colour_of(joint)
        line(picture, at[joint], at[parent], colour, _bone_width(thickness, dim))
    for joint in (number for number, seen in enumerate(there) if seen):
        if pale[joint]:
            dot(picture, at[joint], thickness, blended(colour_of(joint), OUTLINE, 0.6), 1)
        else:
            dot(picture, at[joint], thickness * 0.95, OUTLINE)
            dot(picture, at[joint], thickness * 0.65, colour_of(joint))


def _bone_width(thickness: float, pale: bool) -> int:
    return max(1, round(thickness * (0.5 if pale else 1)))


def text(picture: Picture, words: str, at: tuple[int, int], colour: Colour, size: float = 0.5, right: bool = False) -> None:
    """Write ``words`` with their base line's left end, or right end, at ``at``."""
    cv2 = require("cv2", "demo")
    font = cv2.FONT_HERSHEY_SIMPLEX
    if right:
        (width, _), _ = cv2.getTextSize(words, font, size, 1)
        at = at[0] - width, at[1]
    cv2.putText(picture, words, at, font, size, colour, 1, cv2.LINE_AA)
