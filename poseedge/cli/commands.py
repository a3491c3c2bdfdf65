"""The verbs of the ``poseedge`` command."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import poseedge

VERBS = {  # in the order of --help: the module of each, and the function or application in it
    "models": "models",
    "export": "export",
    "targets": "targets",
    "check": "check",
    "eval": "evaluate",
    "lift": "lift",
    "demo": "demo",
    "stream": "stream",
    "build": "build",
    "bench": "bench",
    "profile": "profile",
    "compare": "compare.compare_graphs",
    "quantize": "quantize",
    "sensitivity": "sensitivity",
    "pretrain": "pretrain",
    "train": "train",
    "data": "data",
    "doctor": "doctor",
}


class Verb(TyperCommand):
    """A command that takes no NaN, which passes every bound and as a limit is never missed, and no infinity."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as every command does, then look at the numbers."""
        rest: list[str] = super().parse_args(ctx, args)
        for option in self.params:
            value = ctx.params.get(option.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise typer.BadParameter(f"{value} is no finite number.", ctx, param_hint=f"'{option.opts[0]}'")
        return rest


def application(names: Iterable[str] = VERBS) -> typer.Typer:
    """Return the command with the verbs ``names``, by default all; importing those that nobody asked for takes half a second."""
    app = typer.Typer(
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        help="From a 2D-to-3D pose lifting checkpoint to a verified, benchmarked edge bundle.",
        epilog="Exit status: 0 done; 1 it ran and the answer is no; 2 wrong usage or input. --debug shows tracebacks.",
    )
    for name in names:
        module, _, member = VERBS[name].partition(".")
        verb = getattr(import_module(f"poseedge.cli.verbs.{module}"), member or module)
        if isinstance(verb, typer.Typer):
            app.add_typer(verb, name=name)
            for command in verb.registered_commands:
                command.cls = Verb
        else:
            app.command(name, cls=Verb)(verb)
    app.callback()(every_verb)
    return app


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(f"poseedge {poseedge.__version__}")
        raise typer.Exit


def every_verb(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what stands before the verb."""
