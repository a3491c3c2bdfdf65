"""The verbs of the ``poseedge`` command."""

from __future__ import annotations

from typing import Annotated

import typer

import poseedge
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

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
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


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(f"poseedge {poseedge.__version__}")
        raise typer.Exit


@app.callback()
def every_verb(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what stands before the verb."""
