"""Videos, from files and from the network, by PyAV: upright, and with the times at which frames are shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from poseedge.errors import DataError, require
from poseedge.live.detectors.person import Picture
from poseedge.live.video.source import Frame

# What FFmpeg is asked of networks: RTSP over TCP, which loses nothing, and little delay ("nobuffer" loses the first frames).
_PROMPT = {"rtsp_transport": "tcp", "flags": "low_delay"}
_TIMEOUT_S = 10.0  # until a network source must answer, and until its next frame


class VideoFile:
    """A video by path or address; live if it is an address of a camera: see ``is_live``."""

    def __init__(self, place: str, fps: float | None = None) -> None:
        """Open ``place``; ``fps`` replaces the times that the file states."""
        self._av = require("av", "demo")
        self.name = place
        network = "://" in place
        options = dict(_PROMPT) if network else {}
        try:
            self._container = self._av.open(place, options=options, timeout=_TIMEOUT_S if network else None)
        except self._av.FFmpegError as error:
            hint = "does the address answer?" if network else "is it a video, and was it copied whole?"
            raise DataError(f"{place}: cannot be opened as a video ({error.strerror})", hint) from error
        if not self._container.streams.video:
            self._container.close()
            raise DataError(f"{place}: holds no video", "it may be sound alone")
        self._stream = self._container.streams.video[0]
        self.live = network and is_live(place, self._container.duration)
        self._stream.thread_type = "SLICE" if self.live else "AUTO"  # frames decoded side by side come late
        self._given_fps = fps
        self.fps: float | None = fps or _rate(self._stream)
        self.count: int | None = self._stream.frames or None
        self._ahead = self._decoded()
        self._first = next(self._ahead, None)
        if self._first is None:
            self.close()
            raise DataError(f"{place}: holds no frame that can be read", "is it empty or cut off? copy it again")
        height, width = self._first.rgb.shape[:2]
        self.size = (width, height)

    def __iter__(self) -> Iterator[Frame]:
        assert self._first is not None
        yield self._first
        self._first = None  # not held in memory beside what follows
        for frame in self._ahead:
            if frame.rgb.shape[1::-1] != self.size:
                found = " x ".join(map(str, frame.rgb.shape[1::-1]))
                raise DataError(
                    f"{self.name}: frame {frame.number} is {found}, the first was {self.size[0]} x {self.size[1]}",
                    "cut the video where its size changes",
                )
            yield frame
        if self.live:
            raise DataError(f"{self.name}: the stream ended", "is the camera still there? start again")

    def close(self) -> None:
        """Close the file or connection."""
        self._container.close()

    def _decoded(self) -> Iterator[Frame]:
        """Yield frames until the end, or until nothing more can be decoded: a truncated video gives what it holds."""
        start: float | None = None
        last = -1.0
        number = 0
        decoder = self._container.decode(self._stream)
        while True:
            try:
                frame = next(decoder, None)
            except self._av.FFmpegError as error:
                if number == 0:
                    raise DataError(f"{self.name}: cannot be decoded ({error.strerror})", "copy it again") from error
                return
            if frame is None:
                return
            start = frame.time if start is None else start
            at = self._time(number, frame.time, start)
            last = max(at, last + 1e-3)  # times go forward, also where a file says otherwise
            yield Frame(upright_picture(frame), number, last, time.monotonic() if self.live else None)
            number += 1

    def _time(self, number: int, stamp: float | None, start: float | None) -> float:
        if self._given_fps or stamp is None or start is None:
            return number / (self.fps or 30.0)
        return float(stamp - start)


def _rate(stream: Any) -> float | None:
    """Return frames per second as the stream states them or FFmpeg guesses."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else None


def upright_picture(frame: Any) -> Picture:
    """Return a PyAV frame as RGB, turned as its metadata says it is to be shown."""
    rgb = frame.to_ndarray(format="rgb24")
    quarters = round(frame.rotation / 90) % 4  # counterclockwise
    return np.ascontiguousarray(np.rot90(rgb, quarters)) if quarters else rgb


def is_live(address: str, duration: int | None) -> bool:
    """Say whether an address is a camera: of HTTP, one that does not know its duration; of RTSP and others all.

    What they give cannot be counted on to be given a second time, for drawing.
    """
    return duration is None or not address.lower().startswith(("http://", "https://"))
