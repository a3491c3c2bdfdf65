"""Cameras that the operating system offers by number (USB, built in), by OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator

from poseedge.errors import DataError, require
from poseedge.live.video.source import Frame


class CameraSource:
    """A camera; its frames carry the time at which they arrived."""

    live = True
    count: int | None = None

    def __init__(self, number: int, size: tuple[int, int] | None = None, fps: float | None = None) -> None:
        """Open camera ``number`` and ask it for ``size`` and ``fps``; it gives what it can that is nearest."""
        self._cv2 = require("cv2", "demo")
        self.name = f"camera {number}"
        self._cv2.utils.logging.setLogLevel(self._cv2.utils.logging.LOG_LEVEL_SILENT)  # what matters is said below
        self._capture = self._cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise DataError(
                f"{self.name}: cannot be opened", "is it plugged in, and free? On Linux: ls /dev/video*; a Jetson's: csi"
            )
        for what, value in (
            (self._cv2.CAP_PROP_FRAME_WIDTH, size and size[0]),
            (self._cv2.CAP_PROP_FRAME_HEIGHT, size and size[1]),
            (self._cv2.CAP_PROP_FPS, fps),
        ):
            if value:
                self._capture.set(what, value)
        self._capture.set(self._cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not the oldest that waits
        width, height = (self._capture.get(p) for p in (self._cv2.CAP_PROP_FRAME_WIDTH, self._cv2.CAP_PROP_FRAME_HEIGHT))
        self.size = (int(width), int(height))
        self.fps: float | None = self._capture.get(self._cv2.CAP_PROP_FPS) or fps or 30.0

    def __iter__(self) -> Iterator[Frame]:
        start: float | None = None
        number = 0
        while True:
            there, bgr = self._capture.read()
            if not there:
                raise DataError(f"{self.name}: gives no more pictures", "was it unplugged? plug it in and start again")
            now = time.monotonic()
            start = now if start is None else start
            yield Frame(self._cv2.cvtColor(bgr, self._cv2.COLOR_BGR2RGB), number, now - start, now)
            number += 1

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()
