"""The page of people who are lifted while they move."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any

from poseedge.live.demo.against import title_of
from poseedge.live.demo.live import figures_of
from poseedge.live.drawing import Arrangement
from poseedge.live.page.messages import frame_message, hello
from poseedge.live.page.recording import Recorder, downloads
from poseedge.live.page.server import FrameRate, Page
from poseedge.live.stream import StreamFrame


class LivePage:
    """Shows each frame of a stream as it becomes final."""

    def __init__(self, size: tuple[int, int], meta: dict[str, Any], port: int, against: str | None = None) -> None:
        """``size`` of the picture that keypoints lie in; ``meta`` says how the poses come about, as ``Lifted.meta``.

        ``against``: title of the other network that lifts the same people, if one does.
        """
        self._stage, self._rate, self._recorder = Arrangement(size), FrameRate(), Recorder(meta)
        self._page = Page(hello(title_of(meta), meta["source"], True, against), port, self._hear)
        self._page.downloads |= downloads(self._recorder.lifted)

    @property
    def address(self) -> str:
        """Return what to type into a browser."""
        return self._page.address

    @property
    def recording(self) -> dict[str, Any]:
        """Return whether it runs, and how many frames it holds."""
        return self._recorder.state

    def __enter__(self) -> LivePage:
        """Start to serve; raises ``PoseedgeError`` if the port is taken."""
        self._page.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self._page.__exit__(kind, error, trace)

    def show(self, frame: StreamFrame, delay_s: float = math.nan) -> None:
        """Show a frame that was captured ``delay_s`` ago, if that is known."""
        rate = self._rate.tick()
        self._recorder.add(frame)
        figures = self._stage.put(figures_of(frame.people, frame.against), frame.time_s)
        delay_ms = round(1000 * delay_s) if math.isfinite(delay_s) else None
        more = {"fps": round(rate, 1), "delay_ms": delay_ms, "recording": self.recording}
        self._page.show(frame_message(frame.frame, frame.time_s, figures, **more))

    def _hear(self, said: dict[str, Any]) -> None:
        if isinstance(said.get("record"), bool):
            self._recorder.record(said["record"])
