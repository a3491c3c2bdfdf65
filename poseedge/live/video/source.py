"""Where pictures come from: one interface for videos, pictures, cameras and streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from poseedge.live.detectors.person import Picture

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


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
