"""Progress of a build, and its cancellation, through TensorRT's own monitor where it has one (from 10.0)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import tensorrt as trt

from poseedge.progress import Advance, Stage


@contextmanager
def watched(config: Any, description: str, stage: Stage) -> Iterator[None]:
    """Show a build inside the block; what the listener raises, Ctrl-C too, cancels the build and is raised at the end."""
    if not hasattr(trt, "IProgressMonitor"):
        with stage(description, None):
            yield
        return
    monitor = make_monitor(lambda total: stage(description, total))
    config.progress_monitor = monitor
    try:
        yield
    finally:
        config.progress_monitor = None
        monitor.shown.close()
    if monitor.failure is not None:
        raise monitor.failure


def make_monitor(show: Callable[[int], Any]) -> Any:
    """Return a monitor that shows the steps of the outermost phase; TensorRT may call it from any thread."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.failure: BaseException | None = None
            self.shown = ExitStack()
            self._outermost: str | None = None
            self._advance: Advance = lambda _: None
            self._lock = threading.Lock()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._guarded():
                if not parent_phase and self._outermost is None:
                    self._outermost = phase_name
                    self._advance = self.shown.enter_context(show(num_steps))

        def phase_finish(self, phase_name: str) -> None:
            with self._guarded():
                if phase_name == self._outermost:
                    self.shown.close()
                    self._outermost = None

        def step_complete(self, phase_name: str, step: int) -> bool:
            with self._guarded():
                if phase_name == self._outermost:
                    self._advance(1)
            return self.failure is None

        @contextmanager
        def _guarded(self) -> Iterator[None]:
            """Keep what is raised: it must not cross into TensorRT, which would only print it."""
            try:
                with self._lock:
                    yield
            except BaseException as error:
                self.failure = error.with_traceback(None)  # whose frames would keep the builder beyond its context

    return Monitor()
