"""Which source a word on the command line means."""

from __future__ import annotations

import re
from pathlib import Path

from poseedge.errors import DataError
from poseedge.live.video.camera import CameraSource
from poseedge.live.video.csi import CsiCamera
from poseedge.live.video.files import VideoFile
from poseedge.live.video.pictures import Pictures
from poseedge.live.video.source import PICTURE_SUFFIXES, Source

CSI = "csi"
_ADDRESS = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt)://", re.IGNORECASE)


def open_source(source: str, size: tuple[int, int] | None = None, fps: float | None = None) -> Source:
    """Open a video, a picture, a folder of pictures, a camera by its number, an address, or ``csi``.

    ``size`` and ``fps`` are what a camera is asked for; ``fps`` alone also makes a video of a folder, and corrects one that
    a video states wrongly. Raises ``DataError`` for what cannot be opened or holds no picture.
    """
    if source == CSI:
        return CsiCamera(size or (1280, 720), fps or 30.0)
    if source.isdecimal():
        return CameraSource(int(source), size, fps)
    if _ADDRESS.match(source):
        return VideoFile(source, fps)
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source}: no such video, picture or folder", "or a camera by its number, such as 0, an address, or csi")
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        return Pictures(path, fps)
    return VideoFile(source, fps)
