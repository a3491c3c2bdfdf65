"""A window that shows pictures as they come, where OpenCV can open one."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from poseedge.errors import PoseedgeError, require
from poseedge.live.detectors.person import Picture

_NAME = "poseedge"
_QUIT = {ord("q"), 27}  # 27: Escape
_NO_WINDOW = "there is no window to show it in: this OpenCV has none", "give a file: -o out.mp4"


def check_window() -> None:
    """Raise ``PoseedgeError`` where OpenCV has no windows; for use before the work begins."""
    framework = getattr(require("cv2", "demo"), "currentUIFramework", None)
    if framework is not None and not framework():
        raise PoseedgeError(*_NO_WINDOW)


class Window:
    """Shows pictures; ``q``, Escape or closing the window calls ``on_close``."""

    written = ""

    def __init__(self, on_close: Callable[[], None], paced: bool) -> None:
        """``paced``: wait until a picture's time has come, for videos."""
        self._cv2 = require("cv2", "demo")
        self._on_close, self._paced = on_close, paced
        self._start: float | None = None

    def __enter__(self) -> Window:
        """Open the window; raises ``PoseedgeError`` where OpenCV has none, as opencv-python-headless."""
        try:
            self._cv2.namedWindow(_NAME, self._cv2.WINDOW_AUTOSIZE)
        except self._cv2.error as error:
            raise PoseedgeError(*_NO_WINDOW) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the window."""
        self._cv2.destroyWindow(_NAME)

    def write(self, rgb: Picture, time_s: float) -> None:
        """Show a picture."""
        now = time.monotonic()
        self._start = now - time_s if self._start is None else self._start
        early_ms = 1000 * (self._start + time_s - now) if self._paced else 0.0
        self._cv2.imshow(_NAME, rgb[..., ::-1])
        pressed = self._cv2.waitKey(max(1, round(early_ms)))
        if pressed in _QUIT or self._cv2.getWindowProperty(_NAME, self._cv2.WND_PROP_VISIBLE) < 1:
            self._on_close()
