"""A source and a detector that play a script: who stands where in which frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from poseedge.errors import DataError
from poseedge.live.detectors.person import Person, Picture, person_of
from poseedge.live.video.source import Frame

SIZE = (640, 480)
FPS = 25.0
# COCO-17 of a person who stands: pixels from the middle of the hips.
_STANDING = np.array(
    [
        *[(0, -150), (5, -156), (-5, -156), (12, -152), (-12, -152), (32, -110), (-32, -110), (42, -60), (-42, -60)],
        *[(45, -10), (-45, -10), (18, 0), (-18, 0), (20, 80), (-20, 80), (21, 160), (-21, 160)],
    ],
    np.float32,
)


def person_at(x: float, score: float = 0.9) -> Person:
    """Return someone whose hips are at ``x``, in the middle of the picture's height."""
    return person_of(_STANDING + np.array([x, SIZE[1] / 2], np.float32), np.full(17, score))


@dataclass
class Film:
    """Grey frames; ``breaks`` makes it end as an unplugged camera does."""

    count: int | None
    live: bool = False
    breaks: bool = False
    pause_s: float = 0.0
    name: str = "film"
    size: tuple[int, int] = SIZE
    fps: float | None = FPS
    closed: bool = field(default=False, init=False)

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for number in range(self.count or 10**9):
            time.sleep(self.pause_s)
            rgb: Picture = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
            captured = time.monotonic() if self.live else None
            yield Frame(rgb, number, captured - start if captured else number / FPS, captured)
        if self.breaks:
            raise DataError("film: gives no more pictures", "was it unplugged?")

    def close(self) -> None:
        self.closed = True


@dataclass
class Script:
    """People by frame, from the first frame given to it on."""

    people: list[tuple[Person, ...]]
    name: str = "script"
    layout: str = "coco17"
    at: int = 0

    def detect(self, rgb: Picture) -> tuple[Person, ...]:
        self.at += 1
        return self.people[(self.at - 1) % len(self.people)]


class Shown:
    """An output that keeps what it is given."""

    written = "shown.mp4"

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.times: list[float] = []

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, rgb: Picture, time_s: float) -> None:
        self.pictures.append(rgb)
        self.times.append(time_s)


def silent(count: int) -> None:
    """The progress of one who does not listen."""
