"""Cutting the part of a picture that a network looks at, and taking what it says back to the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.errors import require
from poseedge.live.detectors.person import Box, Picture


@dataclass(frozen=True)
class PicturePlacement:
    """Where the picture lies in a network's input: picture = offset + scale * input, edges of pixels on whole numbers."""

    offset: tuple[float, float]
    scale: tuple[float, float]

    def from_edges(self, points: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Take points ``(..., 2)`` back to the picture whose coordinates count from the edge of the first pixel."""
        return points * np.array(self.scale, np.float32) + np.array(self.offset, np.float32)

    def from_centres(self, points: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Take points ``(..., 2)`` back to the picture that count pixels, so that 0 is the centre of the first."""
        return self.from_edges(points + 0.5) - 0.5


def fit(region: Box, size: tuple[int, int]) -> Box:
    """Return ``region`` widened about its centre to the shape of ``size`` (width, height)."""
    left, top, width, height = region
    grown = max(width, height * size[0] / size[1])
    tall = grown * size[1] / size[0]
    return left - (grown - width) / 2, top - (tall - height) / 2, grown, tall


def whole(rgb: Picture) -> Box:
    """Return the box of the whole picture."""
    return 0.0, 0.0, float(rgb.shape[1]), float(rgb.shape[0])


def cut(rgb: Picture, region: Box, size: tuple[int, int], fill: int = 0) -> tuple[Picture, PicturePlacement]:
    """Return ``region`` of ``rgb``, widened to the shape of ``size``, as a picture of that size, and where it lies.

    What lies outside the picture is ``fill``. The part inside lands on whole pixels of the result, so that one resize
    does it and the placement is exact.
    """
    left, top, width, height = fit(region, size)
    result = np.full((size[1], size[0], 3), fill, np.uint8)
    across = _part(left, width, rgb.shape[1], size[0])
    down = _part(top, height, rgb.shape[0], size[1])
    if across is None or down is None:
        return result, PicturePlacement((left, top), (width / size[0], height / size[1]))
    (x0, x1, u0, u1), (y0, y1, v0, v1) = across, down
    part = _divisible(rgb[y0:y1, x0:x1], (u1 - u0, v1 - v0))
    scale = part.shape[1] / (u1 - u0), part.shape[0] / (v1 - v0)
    result[v0:v1, u0:u1] = resized(part, (u1 - u0, v1 - v0))
    return result, PicturePlacement((x0 - u0 * scale[0], y0 - v0 * scale[1]), scale)


def resized(rgb: Picture, size: tuple[int, int]) -> Picture:
    """Return ``rgb`` in another size: averaged by a whole factor first, which is quick, and then bilinear."""
    cv2 = require("cv2", "demo")
    rgb = _divisible(rgb, size)
    factor = _factor(rgb, size)
    if factor > 1:
        rgb = cv2.resize(rgb, (rgb.shape[1] // factor, rgb.shape[0] // factor), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR))


def _factor(rgb: Picture, size: tuple[int, int]) -> int:
    return max(1, min(rgb.shape[1] // size[0], rgb.shape[0] // size[1]))


def _divisible(rgb: Picture, size: tuple[int, int]) -> Picture:
    """Return ``rgb`` without the last few rows and columns that the whole factor does not divide."""
    height, width, factor = *rgb.shape[:2], _factor(rgb, size)
    return rgb[: height - height % factor, : width - width % factor]


def _part(start: float, length: float, available: int, size: int) -> tuple[int, int, int, int] | None:
    """Return from where to where a picture's axis is seen, and where that lands in the input; None if it is not seen."""
    first, last = max(round(start), 0), min(round(start + length), available)
    into, upto = round((first - start) * size / length), round((last - start) * size / length)
    into, upto = max(into, 0), min(upto, size)
    return (first, last, into, upto) if first < last and into < upto else None
