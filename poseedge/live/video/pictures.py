"""Pictures: one, or those of a folder in the order of the numbers in their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from poseedge.errors import DataError, require
from poseedge.live.detectors.person import Picture
from poseedge.live.video.source import PICTURE_SUFFIXES, Frame


class Pictures:
    """One picture or a folder of them; they are a video if a frame rate is given."""

    live = False

    def __init__(self, path: Path, fps: float | None = None) -> None:
        self.name, self.fps = str(path), fps
        self.paths = _inside(path) if path.is_dir() else [path]
        self.count: int | None = len(self.paths)
        first = read_picture(self.paths[0])
        self.size = (first.shape[1], first.shape[0])

    def __iter__(self) -> Iterator[Frame]:
        for number, path in enumerate(self.paths):
            rgb = read_picture(path)
            if self.fps and rgb.shape[1::-1] != self.size:
                raise DataError(
                    f"{path}: is {rgb.shape[1]} x {rgb.shape[0]}, the first was {self.size[0]} x {self.size[1]}",
                    "pictures of a video have one size; without --fps each is taken on its own",
                )
            yield Frame(rgb, number, number / (self.fps or 1.0))

    def close(self) -> None:
        """Nothing is open between two pictures."""


def _inside(folder: Path) -> list[Path]:
    paths = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    if not paths:
        raise DataError(f"{folder}: holds no picture", f"known: {', '.join(PICTURE_SUFFIXES)}")
    return sorted(paths, key=lambda path: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)])


def read_picture(path: Path) -> Picture:
    """Return a picture file as RGB, upright as its EXIF data says."""
    cv2 = require("cv2", "demo")
    content = np.frombuffer(path.read_bytes(), np.uint8)
    found = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if found is None:
        raise DataError(f"{path}: cannot be read as a picture", "is it a picture, and was it copied whole?")
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB))
