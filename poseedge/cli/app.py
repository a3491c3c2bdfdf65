"""The ``poseedge`` command: argument parsing and printing only."""

from __future__ import annotations

import sys
import warnings

import typer
from rich.markup import escape

from poseedge.cli.console import err
from poseedge.cli.verbs import (
    bench,
    build,
    check,
    compare,
    data,
    demo,
    doctor,
    evaluate,
    export,
    lift,
    models,
    pretrain,
    profile,
    quantize,
    sensitivity,
    stream,
    targets,
    train,
)
from poseedge.errors import PoseedgeError, PoseedgeWarning

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From a 2D-to-3D pose lifting checkpoint to a verified, benchmarked edge bundle.",
    epilog="Exit status: 0 done; 1 it ran and the answer is no; 2 wrong usage or input. --debug shows tracebacks.",
)
app.command("models")(models.models)
app.command("export")(export.export)
app.command("targets")(targets.targets)
app.command("check")(check.check)
app.command("eval")(evaluate.evaluate)
app.command("lift")(lift.lift)
app.command("demo")(demo.demo)
app.command("stream")(stream.stream)
app.command("build")(build.build)
app.command("bench")(bench.bench)
app.command("profile")(profile.profile)
app.command("compare")(compare.compare_graphs)
app.command("quantize")(quantize.quantize)
app.command("sensitivity")(sensitivity.sensitivity)
app.command("pretrain")(pretrain.pretrain)
app.command("train")(train.train)
app.add_typer(data.data, name="data")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; errors become one clear message and exit status 2."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    warnings.simplefilter("ignore", PoseedgeWarning)  # for those who normalize keypoints themselves; commands do it for all
    try:
        app()
    except PoseedgeError as error:
        if debug:
            raise
        err.print(f"[bold red]error:[/bold red] {escape(error.message)}", soft_wrap=True)
        if error.hint:
            err.print(f"[bold]hint:[/bold] {escape(error.hint)}", soft_wrap=True)
        sys.exit(2)
    except OSError as error:  # no room, no permission, not there
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        err.print(f"[bold red]error:[/bold red] {escape(where + (error.strerror or str(error)))}", soft_wrap=True)
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        err.print(f"[bold red]unexpected error:[/bold red] {escape(repr(error))}", soft_wrap=True)
        err.print("[bold]hint:[/bold] this is a bug; run again with --debug for the traceback and report it", soft_wrap=True)
        sys.exit(2)
