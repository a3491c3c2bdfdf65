"""Which program wrote a keypoint file, by what is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseedge.errors import DataError, nearest
from poseedge.live.formats import alphapose, coco_results, csv_table, jsonlines, mmpose, openpose, plain, ultralytics, videopose3d
from poseedge.live.formats.collect import Detections
from poseedge.live.formats.recognise import recognised
from poseedge.live.types import Clip


@dataclass(frozen=True)
class Format:
    """A family of keypoint files."""

    read: Callable[[Path, Detections], None]
    looks: str  # what it is recognised by
    folder: bool = False  # a folder of files, one per frame, is read too


FORMATS: dict[str, Format] = {
    "alphapose": Format(alphapose.read, "JSON list of people with 'image_id' as text, or people by picture"),
    "coco": Format(coco_results.read, "JSON list of people with 'image_id' as a number (COCO results)"),
    "openpose": Format(openpose.read, "JSON per frame with 'people' (also Pose2Sim, Sports2D)", folder=True),
    "mmpose": Format(mmpose.read, "JSON with 'instances', 'instance_info' or 'keypoint_scores'", folder=True),
    "ultralytics": Format(ultralytics.read_results, "JSON lists of people with keypoints x, y, visible", folder=True),
    "ultralytics-txt": Format(ultralytics.read_txt, "text of save_txt: lines of class, box and joints", folder=True),
    "jsonlines": Format(jsonlines.read, "a JSON object per line, with 'frame' and 'people'"),
    "videopose3d": Format(videopose3d.read, ".npz with 'positions_2d', or 'boxes' and 'keypoints'"),
    "plain": Format(plain.read, ".npy or .npz of numbers (T, K, 2 or 3) or (T, P, K, 2 or 3)"),
    "csv": Format(csv_table.read, "a table with columns frame, id, x0, y0, s0, ..., or nose_x, nose_y, ..."),
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
        FORMATS[name].read(_single(path, name), found)
        return found.clip(layout, size, fps)


def _single(path: Path, name: str) -> Path:
    """Return the only file of a folder, for formats that have everything in one."""
    if FORMATS[name].folder or path.is_file():
        return path
    files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    same = [file for file in files if file.suffix == ".json"] or files
    if len(same) != 1:
        raise DataError(f"{path}: {len(same)} files of which each is a whole clip ({name})", "give one of them")
    return same[0]
