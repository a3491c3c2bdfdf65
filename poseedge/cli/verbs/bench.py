"""``poseedge bench``: how fast, how large, how costly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from poseedge.backends.registry import names_for
from poseedge.bench import measure as measuring
from poseedge.bench.advice import ShippingLimits, recommend
from poseedge.bench.compare import check_machine, check_points, compare_reports, read_report
from poseedge.bench.entries import subjects_of, working_backends
from poseedge.bench.machine import machine_facts
from poseedge.bench.remote_report import RUNS_PER_ROUND, remote_report
from poseedge.bench.report import Report, remarks, tables
from poseedge.bench.results import Moved
from poseedge.bench.written import WRITERS, check_place, write_report
from poseedge.bundle.reading import open_bundle
from poseedge.cli import options
from poseedge.cli.at_hand import reference_of
from poseedge.cli.bars import far_bar, still_bar
from poseedge.cli.console import err, next_step, out, table
from poseedge.device.ssh import Host, run_remotely
from poseedge.errors import PoseedgeError, nearest


class Counts(tuple[int, ...]):
    """Numbers of an option, such as ``1,2,4``, each once."""

    __slots__ = ()


def counts(most: int) -> Callable[[str | Counts], Counts]:
    """Return what reads ``1,2,4``; anything but numbers from 1 to ``most`` is bad usage."""

    def read(text: str | Counts) -> Counts:
        if isinstance(text, Counts):
            return text
        words = [word.strip() for word in text.split(",")]
        numbers = [int(word) if word.isdecimal() and len(word) < 10 else 0 for word in words]
        if any(not 1 <= number <= most for number in numbers):
            raise typer.BadParameter(f"{text!r} is no number, or several separated by commas, from 1 to {most}.")
        return Counts(dict.fromkeys(numbers))

    return read


ONE = Counts((1,))
RUNNER_BACKENDS = ["tensorrt", "onnxruntime"]  # of a bundle's run.py
ELSEWHERE = "On another machine (one bundle; its own run.py does the work there, one window at a time)"
SHIP = "What to ship, and what moved"
HERE_ALONE = "leave out --threads, --batch, --evicted, --layers, --data, --keypoints and --frames"


def bench(
    context: typer.Context,
    artefacts: Annotated[list[Path], typer.Argument(help="Bundle folders, .onnx files, .engine files or .pth checkpoints.")],
    precision: options.Precisions = None,
    threads: Annotated[
        Counts,
        typer.Option(parser=counts(options.MOST_THREADS), metavar="N[,N...]", help="CPU threads; several are timed in turn."),
    ] = ONE,
    batch: Annotated[
        Counts,
        typer.Option(parser=counts(options.LARGEST_BATCH), metavar="N[,N...]", help="Windows in one call; several: 1,8,64."),
    ] = ONE,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of 8 timed calls for each; default: 100, or fewer to fit a minute.")
    ] = None,
    evicted: Annotated[bool, typer.Option("--evicted", help="Also time with emptied caches, as after a detector.")] = False,
    energy: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to measure energy for, where power can be read; default: not here, 10 with --host."),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also time each node by itself, for --output and --json.")] = False,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Repeat for several. Of ONNX files: {', '.join(names_for('.onnx'))}, default: those that work here; "
            f"of checkpoints: {', '.join(names_for('.pth'))}; with --host: {', '.join(RUNNER_BACKENDS)}."
        ),
    ] = None,
    data: options.Data = None,
    keypoints: options.Keypoints = "gt",
    frames: Annotated[
        int | None,
        typer.Option(min=0, help="Frames of each motion to test accuracy on; 0: not; default: all that takes no minute."),
    ] = None,
    as_json: options.Json = False,
    output: Annotated[
        list[Path] | None,
        typer.Option(dir_okay=False, help=f"Also write a report, by suffix: {', '.join(WRITERS)} (repeat)."),
    ] = None,
    advise: Annotated[
        bool, typer.Option("--recommend", help="Name the fastest that keeps the limits below.", rich_help_panel=SHIP)
    ] = False,
    budget_mm: Annotated[
        float, typer.Option(min=0, help="That MPJPE may be worse than the reference's.", rich_help_panel=SHIP)
    ] = 0.5,
    max_jitter: Annotated[
        float | None, typer.Option(min=0, help="Times the reference's jitter, windows overlapping.", rich_help_panel=SHIP)
    ] = None,
    most_ms: Annotated[
        float | None, typer.Option("--ms", min=0, help="Median latency of a window.", rich_help_panel=SHIP)
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--compare", help="An earlier report (.json) of this machine.", rich_help_panel=SHIP)
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(min=0, help="Exit with 1 if a median is more than so many times the earlier.", rich_help_panel=SHIP),
    ] = None,
    host: Annotated[str | None, typer.Option(help="user@jetson: any machine with sshd.", rich_help_panel=ELSEWHERE)] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of its sshd.", rich_help_panel=ELSEWHERE)] = None,
    python: Annotated[str, typer.Option(help="Its Python, 3.6 or newer.", rich_help_panel=ELSEWHERE)] = "python3",
    timeout: Annotated[int, typer.Option(min=1, help="Seconds for each precision.", rich_help_panel=ELSEWHERE)] = 1800,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build engines anew, not those kept there.", rich_help_panel=ELSEWHERE)
    ] = False,
    ssh: Annotated[str, typer.Option(help="The ssh command, with its options.", rich_help_panel=ELSEWHERE)] = "ssh",
) -> None:
    """Time artefacts side by side and show latency, accuracy, FLOPs, memory and size.

    Exits with 1 if nothing keeps the limits of --recommend, if something is slower than --fail-above allows, or if the poses on
    another machine are not within the bundle's limits.

    Example: poseedge bench build/nanohtnet --recommend --budget-mm 0.5 --output report.html

    Example: poseedge bench build/nanohtnet --compare old.json --fail-above 1.1

    Example: poseedge bench build/nanohtnet --host user@jetson --precision fp16
    """
    for path in output or []:
        check_place(path)  # before any work
    limits = chosen_limits(context, advise, ShippingLimits(budget_mm, max_jitter, most_ms))
    if fail_above is not None and against is None:
        raise PoseedgeError("--fail-above is measured from an earlier report", "name it with --compare")
    old = read_report(against) if against else None
    if host is None:
        refuse_given(context, "port", "python", "timeout", "rebuild", "ssh")
        settings = measuring.BenchSettings(
            *(threads[0], batch[0], rounds, evicted, None, energy or 0.0, threads[1:], batch[1:]),
            *(data, keypoints, frames, layers),
        )
        if old and against:
            check_machine(machine_facts(), old, against)
            check_points(settings.points, old, against)
        report = bench_here(artefacts, precision, settings, backend)
    else:
        refuse_here(context, artefacts)
        there = backend[0] if backend else RUNNER_BACKENDS[0]
        if there not in RUNNER_BACKENDS or len(backend or []) > 1:
            raise PoseedgeError(f"no backend {' and '.join(backend or [])!r} with --host", nearest(there, RUNNER_BACKENDS))
        arguments = ["--backend", there, *(["--runs", str(rounds * RUNS_PER_ROUND)] if rounds else [])]
        arguments += ["--rebuild"] if rebuild else []
        arguments += ["--energy", str(energy)] if energy is not None else []
        report = bench_there(artefacts[0], precision, Host(host, port, python, ssh), arguments, timeout)
    failures: list[PoseedgeError | OSError] = []  # raised at the end: what took minutes is told first
    if old and against:
        with collected(failures):
            check_machine(report.machine, old, against)
            report = replace(report, compared=compare_reports(report.rows, old, against, fail_above))
    if limits:
        with collected(failures):
            report = replace(report, advice=recommend(report.main_rows, limits))
    tell(report, artefacts[0], as_json, output or [], failures)
    if failures:
        raise failures[0]
    if not report.passed:
        raise typer.Exit(1)


@contextmanager
def collected(failures: list[PoseedgeError | OSError]) -> Iterator[None]:
    """Put what the block raises into ``failures``."""
    try:
        yield
    except (PoseedgeError, OSError) as error:
        failures.append(error)


def tell(report: Report, artefact: Path, as_json: bool, outputs: list[Path], failures: list[PoseedgeError | OSError]) -> None:
    """Write the report's files, and print it; a file that cannot be written is put into ``failures``."""
    written = []
    for path in outputs:
        with collected(failures):
            write_report(report, path)
            written.append(path)
    if as_json:
        print(json.dumps(report.to_json(), indent=2))
        for said in [] if report.passed else [*report.notes, *verdicts(report)]:
            err.print(f"note: {said}", markup=False, soft_wrap=True)
        return
    show(report)
    for path in written:
        out.print(f"written: {path}", markup=False, soft_wrap=True)
    if not failures:
        say_next(artefact, report)


def chosen_limits(context: typer.Context, advise: bool, limits: ShippingLimits) -> ShippingLimits | None:
    """Return the limits of a recommendation, None without one; raises for a limit without --recommend."""
    if not advise:
        for name, option in (("budget_mm", "--budget-mm"), ("max_jitter", "--max-jitter"), ("most_ms", "--ms")):
            if given(context, name):
                raise PoseedgeError(f"{option} is a limit for --recommend", "add --recommend")
        return None
    return limits


def given(context: typer.Context, name: str) -> bool:
    """Say whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_here(context: typer.Context, artefacts: list[Path]) -> None:
    """Raise for what another machine's runner does not do."""
    here = ("threads", "batch", "evicted", "layers", "data", "keypoints", "frames")
    if len(artefacts) != 1 or any(given(context, name) for name in here):
        raise PoseedgeError("with --host, one bundle is timed, one window at a time, on its own samples", HERE_ALONE)


def refuse_given(context: typer.Context, *options: str) -> None:
    """Raise if one of ``options``, which are for another machine, stands on the command line."""
    for name in options:
        if given(context, name):
            hint = "here, build an engine anew with: poseedge build --rebuild" if name == "rebuild" else "leave it out"
            raise PoseedgeError(f"--{name} goes with --host", hint)


def bench_here(
    artefacts: list[Path], precisions: list[str] | None, settings: measuring.BenchSettings, backends: list[str] | None
) -> Report:
    """Time everything in this process."""
    if precisions and not any(map(Path.is_dir, artefacts)):
        raise PoseedgeError("--precision chooses within a bundle, and none is named", "leave it out")
    found = [subjects_of(artefact, precisions) for artefact in artefacts]
    subjects = [subject for several, _ in found for subject in several]
    chosen = complete(backends or [], any(subject.path.suffix.lower() == ".onnx" for subject in subjects))
    unasked = tuple(name for name in chosen if name not in (backends or []))
    with still_bar() as progress:
        report = measuring.measure_subjects(subjects, replace(settings, backend=chosen, unasked=unasked), progress)
    return replace(report, notes=[note for _, notes in found for note in notes] + report.notes)


def complete(named: list[str], graphs: bool) -> list[str]:
    """Return the backends to time on: by default ONNX files on all that work here; with compiled PyTorch eager, too."""
    if graphs and set(named) <= {"torch-compile"}:
        named = [*named, *working_backends()]
    return ["torch", *named] if "torch-compile" in named and "torch" not in named else named


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
    """Print tables, remarks and the verdicts."""
    for grid in tables(report):
        table(*grid)
    for remark in remarks(report):
        out.print(f"note: {remark}", markup=False, soft_wrap=True)
    for verdict in verdicts(report):
        out.print(Text(verdict, "bold"), soft_wrap=True)


def verdicts(report: Report) -> list[str]:
    """Return what was asked for, answered."""
    said = [report.advice.sentence] if report.advice else []
    compared = report.compared
    if compared and compared.fail_above is not None:
        slower = [row for row in compared.rows if row.failed]
        said += [f"{row.called}: {row.moved:.3f} times as slow as in {compared.against}{within(row)}" for row in slower]
        said += [] if slower else [f"nothing takes more than {compared.fail_above:g} times as long as in {compared.against}"]
    return said


def within(row: Moved) -> str:
    """Return the interval of what moved, in words."""
    return "" if row.low is None else f" (95 %: {row.low:.3f} to {row.high:.3f})"


def say_next(artefact: Path, report: Report) -> None:
    """Print what to type next: is the fastest still accurate?"""
    if not artefact.is_dir():
        next_step("poseedge", "eval", artefact)
        return
    graphs = [row for row in report.main_rows if Path(row.artefact).parent == artefact]
    fastest = min(graphs, key=lambda row: row.latency_ms.p50)
    next_step(
        "poseedge", "eval", artefact, "--precision", fastest.precision, *reference_of(open_bundle(artefact), fastest.precision)
    )
