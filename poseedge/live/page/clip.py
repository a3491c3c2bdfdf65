"""The page of a clip that was lifted from beginning to end: played at its own pace, again and again."""

from __future__ import annotations

import threading
import time

from poseedge.live.demo.offline import upright_poses
from poseedge.live.drawing import LiftedFigures
from poseedge.live.page.messages import frame_message, hello
from poseedge.live.page.recording import downloads
from poseedge.live.page.server import Page
from poseedge.live.types import Lifted

_PAUSE_S = 1.0  # after the last frame


class ClipPage:
    """Plays a clip until ``stop`` is called."""

    def __init__(self, lifted: Lifted, size: tuple[int, int], port: int) -> None:
        """``size``: of the source's picture."""
        self._lifted, self._size = upright_poses(lifted), size
        self._stopped = threading.Event()
        title = f"{lifted.meta['model']} {lifted.meta['precision']}"
        self._page = Page(hello(title, lifted.meta["source"], False), port)
        self._page.downloads |= downloads(lambda: lifted)

    @property
    def page(self) -> Page:
        """What serves it; enter it before ``run``."""
        return self._page

    def stop(self) -> None:
        """End ``run``."""
        self._stopped.set()

    def run(self) -> None:
        """Play."""
        while not self._stopped.is_set():
            self._once()
            self._stopped.wait(_PAUSE_S)

    def _once(self) -> None:
        figures, start = LiftedFigures(self._lifted, self._size), time.monotonic() - float(self._lifted.times_s[0])
        for number, time_s in zip(self._lifted.frames.tolist(), self._lifted.times_s.tolist(), strict=True):
            if self._stopped.wait(max(start + time_s - time.monotonic(), 0.0)):
                return
            self._page.show(frame_message(number, time_s, figures.at(number, time_s)))
