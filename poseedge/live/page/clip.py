"""The page of a clip that was lifted from beginning to end: played at its own pace, again and again."""

from __future__ import annotations

import threading
import time

from poseedge.live.demo.against import title_of
from poseedge.live.demo.offline import figures_of_clip
from poseedge.live.page.messages import frame_message, hello
from poseedge.live.page.recording import downloads
from poseedge.live.page.server import Page
from poseedge.live.types import Lifted

_PAUSE_S = 1.0  # after the last frame


class ClipPage:
    """Plays a clip until ``stop`` is called."""

    def __init__(self, lifted: Lifted, size: tuple[int, int], port: int, against: Lifted | None = None) -> None:
        """``size``: of the source's picture; ``against``: the same people's poses by another network."""
        self._lifted, self._size, self._against = lifted, size, against
        self._stopped = threading.Event()
        other = None if against is None else title_of(against.meta)
        self._page = Page(hello(title_of(lifted.meta), lifted.meta["source"], False, other), port)
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
        figures = figures_of_clip(self._lifted, self._size, self._against)
        start = time.monotonic() - float(self._lifted.times_s[0])
        for number, time_s in zip(self._lifted.frames.tolist(), self._lifted.times_s.tolist(), strict=True):
            if self._stopped.wait(max(start + time_s - time.monotonic(), 0.0)):
                return
            self._page.show(frame_message(number, time_s, figures.at(number, time_s)))
