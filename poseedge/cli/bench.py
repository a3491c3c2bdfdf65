"""``poseedge bench``: how fast, how large, how costly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from poseedge.bench import measure as measuring
from poseedge.bench.report import Report, remarks, tables
from poseedge.bench.subjects import subjects_of
from poseedge.cli.console import err, next_step, out
from poseedge.files import atomic_write


def bench(
    artefacts: Annotated[list[Path], typer.Argument(help="Bundle folders, .onnx files or .pth checkpoints.")],
    threads: Annotated[int, typer.Option(min=1, help="Threads, each pinned to a core.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Windows in one call.")] = 1,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of 8 timed calls for each. [default: 100, or fewer to fit a minute]")
    ] = None,
    evicted: Annotated[bool, typer.Option("--evicted", help="Also time with emptied caches, as after a detector.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    output: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Time artefacts side by side and show latency, FLOPs, memory and size.

    Example: poseedge bench build/nanohtnet --evicted
    """
    found = [subjects_of(artefact) for artefact in artefacts]
    settings = measuring.Settings(threads, batch, rounds, evicted)
    with progress_bar() as progress:
        report = measuring.measure([subject for subjects, _ in found for subject in subjects], settings, progress)
    report = replace(report, notes=[note for _, notes in found for note in notes] + report.notes)
    content = json.dumps(report.to_json(), indent=2)
    if output:
        with atomic_write(output) as temporary:
            temporary.write_text(content + "\n")
    if as_json:
        print(content)
    else:
        show(report, next_command(artefacts[0], report))


def show(report: Report, command: str) -> None:
    """Print tables, remarks and the next command."""
    for table in tables(report):
        out.print(table)
    for remark in remarks(report):
        out.print(f"note: {remark}", markup=False, soft_wrap=True)
    next_step(command)


def next_command(artefact: Path, report: Report) -> str:
    """Return what to type next: is the fastest still accurate?"""
    if not artefact.is_dir():
        return f"poseedge eval {artefact}"
    graphs = [row for row in report.rows if Path(row.artefact).parent == artefact]
    fastest = min(graphs, key=lambda row: row.latency_ms["p50"])
    return f"poseedge eval {artefact} --precision {fastest.precision} --against checkpoint"


@contextmanager
def progress_bar() -> Iterator[measuring.Progress]:
    """Yield a progress callback that draws on standard error, and only when called: no thread disturbs the timing."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=err, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("loading", total=None)
        bar.refresh()

        def advance(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total, refresh=True)

        yield advance
