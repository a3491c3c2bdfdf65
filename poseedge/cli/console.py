"""What the verbs share in talking to a person or a program: stdout is for results, stderr for progress and errors."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from poseedge.contract import Contract
from poseedge.lifter import Lifter
from poseedge.progress import Advance

PLAIN_WIDTH = 160  # where there is no terminal to fit

out = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
err = Console(stderr=True, highlight=False)


def emit_json(content: Any) -> None:
    """Print one JSON document to stdout and nothing else."""
    plain = content.model_dump(mode="json") if isinstance(content, Contract) else content
    print(json.dumps(null_if_not_finite(plain), indent=2, allow_nan=False))


def null_if_not_finite(content: Any) -> Any:
    """Return ``content`` with null for what JSON has no number for: NaN and infinity."""
    if isinstance(content, dict):
        return {key: null_if_not_finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [null_if_not_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


class RateColumn(ProgressColumn):
    """How many are done in a second."""

    def __init__(self, each: str) -> None:
        super().__init__()
        self._each = each

    def render(self, task: Task) -> Text:
        """Return the rate of a task, empty before there is one."""
        rate = task.finished_speed or task.speed
        return Text(f"{rate:.0f} {self._each}/s" if rate else "")


@contextmanager
def stage(description: str, total: int | None, each: str | None = None) -> Iterator[Advance]:
    """A progress bar on stderr for one stage of work, kept when it is done; ``each`` in a second are shown, if named."""
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([RateColumn(each)] if each else []),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(description, total=total)
        yield lambda count: progress.advance(task, count)


def table(title: str, columns: list[str], rows: Sequence[Sequence[str | Text]], text: tuple[str, ...] = ()) -> None:
    """Print a table: the first column and those in ``text`` fold where they are too long, the others hold numbers, never cut.

    Where the numbers would take most of the width, and leave no room for the names, they continue in a table below.
    """
    named = [place == 0 or name in text for place, name in enumerate(columns)]
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = [
        max([*map(len, name.split("\n")), *(row[place].cell_len for row in cells)]) + 1 for place, name in enumerate(columns)
    ]
    for part, places in enumerate(parts_that_fit(widths, named, out.width - 1)):
        said = escape(title) if part == 0 else ""
        grid = Table(title=said or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
        for place in places:
            if named[place]:
                grid.add_column(escape(columns[place]), overflow="fold")
            else:
                grid.add_column(escape(columns[place]), justify="right", no_wrap=True)
        for row in cells:
            grid.add_row(*(row[place] for place in places))
        out.print(grid)


def parts_that_fit(widths: Sequence[int], named: Sequence[bool], room: int) -> list[list[int]]:
    """Return the columns of each part of a table: all in one if they fit in ``room``, or if it is not the numbers that do not.

    Else the named columns that stand first are in every part, beside as many of the others as fit.
    """
    everything = list(range(len(widths)))
    taken = sum(width for width, name in zip(widths, named, strict=True) if not name)
    if sum(widths) <= room or taken <= room // 2:
        return [everything]
    first = named.index(False)
    beside = max(room - sum(widths[:first]), room // 2)
    parts: list[list[int]] = []
    left = 0
    for place in everything[first:]:
        least = min(widths[place], beside // 2) if named[place] else widths[place]  # words fold
        if least > left:
            parts.append(everything[:first])
            left = beside
        parts[-1].append(place)
        left -= least
    return parts


def next_step(*words: object, where: str = "") -> None:
    """Print the command to type next, as the last line, so that it can be pasted; ``where`` says on which machine."""
    said = f", {where}" if where else ""
    out.print(f"next: [bold]{escape(shlex.join(map(str, words)))}[/bold]{escape(said)}", soft_wrap=True)


def warn(messages: Iterable[str]) -> None:
    """Print what is suspicious to stderr."""
    for message in messages:
        err.print(f"warning: {message}", soft_wrap=True)


def print_notes(lifter: Lifter) -> None:
    """Print what a lifter notes of itself to stderr, such as nodes that run elsewhere than asked."""
    for note in lifter.notes:
        err.print(f"note: {lifter.path.name} on {lifter.backend}: {note}", markup=False, soft_wrap=True)


def mm(value: float | None, digits: int = 2) -> str:
    """Format millimetres; a missing value is a dash."""
    return "-" if value is None else f"{value:.{digits}f}"
