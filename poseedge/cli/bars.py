"""Progress on stderr in the form of ``poseedge.progress``, for work that is more than one stage (``console.stage``)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from poseedge.cli.console import err
from poseedge.progress import Tell

LINE_SECONDS = 30  # between lines where there is no terminal to draw a bar on


@contextmanager
def still_bar() -> Iterator[Tell]:
    """Yield a progress callback that draws only when called: no thread disturbs what is timed."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=err, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("loading", total=None)
        bar.refresh()

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total, refresh=True)

        yield tell


@contextmanager
def far_bar() -> Iterator[Tell]:
    """Yield a progress callback for work elsewhere: the bar appears when it is first called and shows how long it takes."""
    bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=err, transient=True)
    task = bar.add_task("", total=None)

    def tell(what: str, done: int, total: int) -> None:
        bar.update(task, description=escape(what), completed=done, total=total)
        bar.start()

    try:
        yield tell
    finally:
        bar.stop()


class LongBar:
    """Work of hours: a bar on a terminal, elsewhere a line now and then; lines that are said stay."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=err, disable=not err.is_terminal)
        self._task = self._bar.add_task("", total=None)
        self._spoken = time.monotonic()
        self._first: tuple[float, int] | None = None  # when it was first told, and how much was done then

    def __enter__(self) -> LongBar:
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line with the time of day."""
        err.print(f"{time.strftime('%H:%M:%S')}  {line}", markup=False, soft_wrap=True)
        self._spoken = time.monotonic()

    def tell(self, what: str, done: int, total: int) -> None:
        """Show how far it is; the bar appears at the first call."""
        now = time.monotonic()
        since, before = self._first = self._first or (now, done)
        self._bar.start()
        self._bar.update(self._task, total=total, completed=done, description=escape(what))
        if not err.is_terminal and now - self._spoken > LINE_SECONDS and done > before:
            minutes = (total - done) * (now - since) / (done - before) / 60
            self.say(f"{what}  ETA {minutes:.0f} min")
