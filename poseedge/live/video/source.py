"""Where pictures come from: one interface for videos, pictures, cameras and streams, and what opens each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from poseedge.errors import DataError
from poseedge.live.detectors.person import Picture

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
CSI = "csi"
_ADDRESS = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt)://", re.IGNORECASE)


@dataclass(frozen=True)
class Frame:
    """One picture of a source."""

    rgb: Picture
    number: int  # from 0
    time_s: float  # since the first
    captured_s: float | None = None  # ``time.monotonic()`` when a live source gave it


class Source(Protocol):
    """Gives its frames once, in order; then it is closed."""

    name: str
    size: tuple[int, int]  # width and height as shown, after any rotation
    fps: float | None  # None: pictures that do not follow each other in time
    count: int | None  # frames, as far as the source says
    live: bool  # new frames come whether or not the last was used

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; raises ``DataError`` where the source breaks off."""

    def close(self) -> None:
        """Let go of file, camera or connection."""


def open_source(source: str, size: tuple[int, int] | None = None, fps: float | None = None) -> Source:
    """Open a video, a picture, a folder of pictures, a camera by its number, an address, or ``csi``.

    ``size`` and ``fps`` are what a camera is asked for; ``fps`` alone also makes a video of a folder, and corrects one that
    a video states wrongly. Raises ``DataError`` for what cannot be opened or holds no picture.
    """
    if source == CSI:
        from poseedge.live.video.csi import CsiCamera

        return CsiCamera(size or (1280, 720), fps or 30.0)
    if source.isdecimal():
        from poseedge.live.video.camera import Camera

        return Camera(int(source), size, fps)
    if _ADDRESS.match(source):
        from poseedge.live.video.files import VideoFile

        return VideoFile(source, fps)
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source}: no such video, picture or folder", "or a camera by its number, such as 0, an address, or csi")
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        from poseedge.live.video.pictures import Pictures

        return Pictures(path, fps)
    from poseedge.live.video.files import VideoFile

    return VideoFile(source, fps)
