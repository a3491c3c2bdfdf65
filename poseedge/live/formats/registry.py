"""Which program wrote a keypoint file, by what is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseedge.errors import DataError, nearest
from poseedge.live.formats import alphapose, openpose, plain
from poseedge.live.formats.collect import Detections
from poseedge.live.formats.recognise import recognised
from poseedge.live.types import Clip


@dataclass(frozen=True)
class Format:
    """A family of keypoint files."""

    read: Callable[[Path, Detections], None]
    looks: str  # what it is recognised by


FORMATS: dict[str, Format] = {
    "alphapose": Format(alphapose.read, "a JSON list of people with 'image_id', or people by picture"),
    "openpose": Format(openpose.read, "JSON with 'people', one file per frame (also Pose2Sim, Sports2D)"),
    "plain": Format(plain.read, ".npy or .npz of numbers (T, K, 2 or 3)"),
}


def read_clip(
    path: Path,
    format: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
) -> Clip:
    """Read a keypoint file or folder: everybody's tracks in pixels, with every frame from the first to the last.

    ``format`` (a name of ``FORMATS``) and ``layout`` (of ``LAYOUTS``) are recognised by content where they are not given;
    ``size``, width and height of the picture, and ``fps`` come before what the file says. Raises ``DataError`` for what
    is no keypoint file, is damaged, or does not go together.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise DataError(f"unknown format {format!r}", nearest(format, list(FORMATS)))
    if not path.exists():
        raise DataError(f"{path}: no such file or folder", "give a detector's keypoint file, or its folder of files")
    name = format or recognised(path)
    if name is None:
        known = "\n".join(f"  {name}: {entry.looks}" for name, entry in FORMATS.items())
        raise DataError(f"{path}: no keypoint file that is known; looked for\n{known}", "name one with --format")
    found = Detections(path)
    with np.errstate(over="ignore", invalid="ignore"):  # 1e300 is as good as missing
        FORMATS[name].read(path, found)
        return found.clip(layout, size, fps)
