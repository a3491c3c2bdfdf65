"""``poseedge bench``: how fast, how large, how costly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from poseedge.backends.registry import names_for
from poseedge.bench import measure as measuring
from poseedge.bench.entries import subjects_of
from poseedge.bench.remote_report import RUNS_PER_ROUND, remote_report
from poseedge.bench.report import Report, remarks, tables
from poseedge.bundle.reading import open_bundle
from poseedge.cli import options
from poseedge.cli.at_hand import reference_of
from poseedge.cli.bars import far_bar, still_bar
from poseedge.cli.console import err, next_step, out, table
from poseedge.device.ssh import Host, run_remotely
from poseedge.errors import PoseedgeError, nearest
from poseedge.files import atomic_write

RUNNER_BACKENDS = ["tensorrt", "onnxruntime"]  # of a bundle's run.py
ELSEWHERE = "On another machine (one bundle; its own run.py does the work there, one window at a time)"


def bench(
    context: typer.Context,
    artefacts: Annotated[list[Path], typer.Argument(help="Bundle folders, .onnx files, .engine files or .pth checkpoints.")],
    precision: options.Precisions = None,
    threads: options.Threads = 1,
    batch: options.Batch = 1,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of 8 timed calls for each; default: 100, or fewer to fit a minute.")
    ] = None,
    evicted: Annotated[bool, typer.Option("--evicted", help="Also time with emptied caches, as after a detector.")] = False,
    energy: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to measure energy for, where power can be read; default: not here, 10 with --host."),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(help=f"Of ONNX files: {', '.join(names_for('.onnx'))}; with --host: {', '.join(RUNNER_BACKENDS)}."),
    ] = None,
    as_json: options.Json = False,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="Also write the JSON to this file.")] = None,
    host: Annotated[str | None, typer.Option(help="user@jetson: any machine with sshd.", rich_help_panel=ELSEWHERE)] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of its sshd.", rich_help_panel=ELSEWHERE)] = None,
    python: Annotated[str, typer.Option(help="Its Python, 3.6 or newer.", rich_help_panel=ELSEWHERE)] = "python3",
    timeout: Annotated[int, typer.Option(min=1, help="Seconds for each precision.", rich_help_panel=ELSEWHERE)] = 1800,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build engines anew, not those kept there.", rich_help_panel=ELSEWHERE)
    ] = False,
    ssh: Annotated[str, typer.Option(help="The ssh command, with its options.", rich_help_panel=ELSEWHERE)] = "ssh",
) -> None:
    """Time artefacts side by side and show latency, FLOPs, memory and size.

    Exits with 1 if the poses on another machine are not within the bundle's limits.

    Example: poseedge bench build/nanohtnet --evicted

    Example: poseedge bench build/nanohtnet --host user@jetson --precision fp16
    """
    if host is None:
        refuse_given(context, "port", "python", "timeout", "rebuild", "ssh")
        report = bench_here(
            artefacts, precision, measuring.BenchSettings(threads, batch, rounds, evicted, backend, energy or 0.0)
        )
    elif len(artefacts) != 1 or threads != 1 or batch != 1 or evicted:
        raise PoseedgeError(
            "with --host, one bundle is timed, one window at a time", "leave out --threads, --batch and --evicted"
        )
    elif backend and backend not in RUNNER_BACKENDS:
        raise PoseedgeError(f"no backend {backend!r} with --host", nearest(backend, RUNNER_BACKENDS))
    else:
        arguments = ["--backend", backend or RUNNER_BACKENDS[0], *(["--runs", str(rounds * RUNS_PER_ROUND)] if rounds else [])]
        arguments += ["--rebuild"] if rebuild else []
        arguments += ["--energy", str(energy)] if energy is not None else []
        report = bench_there(artefacts[0], precision, Host(host, port, python, ssh), arguments, timeout)
    content = json.dumps(report.to_json(), indent=2)
    if output:
        with atomic_write(output) as temporary:
            temporary.write_text(content + "\n")
    if as_json:
        print(content)
        for said in [] if report.passed else report.notes:
            err.print(f"note: {said}", markup=False, soft_wrap=True)
    else:
        show(report)
        say_next(artefacts[0], report)
    if not report.passed:
        raise typer.Exit(1)


def refuse_given(context: typer.Context, *options: str) -> None:
    """Raise if one of ``options``, which are for another machine, stands on the command line."""
    for name in options:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            hint = "here, build an engine anew with: poseedge build --rebuild" if name == "rebuild" else "leave it out"
            raise PoseedgeError(f"--{name} goes with --host", hint)


def bench_here(artefacts: list[Path], precisions: list[str] | None, settings: measuring.BenchSettings) -> Report:
    """Time everything in this process."""
    if precisions and not any(map(Path.is_dir, artefacts)):
        raise PoseedgeError("--precision chooses within a bundle, and none is named", "leave it out")
    found = [subjects_of(artefact, precisions) for artefact in artefacts]
    with still_bar() as progress:
        report = measuring.measure_subjects([subject for subjects, _ in found for subject in subjects], settings, progress)
    return replace(report, notes=[note for _, notes in found for note in notes] + report.notes)


def bench_there(artefact: Path, precisions: list[str] | None, host: Host, arguments: list[str], timeout_s: int) -> Report:
    """Let a bundle's own runner do it on another machine."""
    bundle = open_bundle(artefact)
    chosen = list(dict.fromkeys(precisions or bundle.precisions))
    err.print(f"connecting to {host.name}", markup=False, soft_wrap=True)
    if {"int8", "int8-fp16"} <= {*chosen}:
        arguments = [*arguments, "--as-named"]  # each is to be timed
    with far_bar() as progress:
        outcomes = run_remotely(bundle, chosen, host, arguments, timeout_s, progress)
    return remote_report(bundle, host.name, outcomes)


def show(report: Report) -> None:
    """Print tables and remarks."""
    for grid in tables(report):
        table(*grid)
    for remark in remarks(report):
        out.print(f"note: {remark}", markup=False, soft_wrap=True)


def say_next(artefact: Path, report: Report) -> None:
    """Print what to type next: is the fastest still accurate?"""
    if not artefact.is_dir():
        next_step("poseedge", "eval", artefact)
        return
    graphs = [row for row in report.rows if Path(row.artefact).parent == artefact]
    fastest = min(graphs, key=lambda row: row.latency_ms.p50)
    next_step(
        "poseedge", "eval", artefact, "--precision", fastest.precision, *reference_of(open_bundle(artefact), fastest.precision)
    )
