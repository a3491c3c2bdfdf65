"""``poseedge train``: train a network on a data set folder, resumable."""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from poseedge.cli import options
from poseedge.cli.console import emit_json, err, next_step, warn
from poseedge.data.mistakes import warnings_of
from poseedge.errors import PoseedgeError, require

if TYPE_CHECKING:
    from poseedge.training.loop import Status

LINE_SECONDS = 30  # between lines where there is no terminal to draw a bar on


def train(
    data: Annotated[Path, typer.Option(help="data set folder with ground-truth and detected 2D keypoints")],
    output: Annotated[Path, typer.Option(file_okay=False, help="folder for state, log and checkpoints; resumed from")],
    model: Annotated[str, typer.Option(help="network to train, by its published recipe")] = "nanohtnet",
    config: Annotated[str | None, typer.Option(help="TOML file laid over the recipe, or: views, live")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over both: optimizer.lr=1e-4")] = None,
    init: Annotated[Path | None, typer.Option(help="checkpoint to start from")] = None,
    refine: Annotated[bool, typer.Option("--refine", help="second stage: --init's network with its refine module")] = False,
    qat: Annotated[bool, typer.Option("--qat", help="fit --init's network to INT8, towards its own poses")] = False,
    detected: Annotated[str | None, typer.Option(help="which detected keypoints: detected, cpn_ft_h36m_dbb, ...")] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="instead of epochs")] = None,
    batch: Annotated[int | None, typer.Option(min=1, max=options.LARGEST_STEP, help="windows per step, of all processes")] = None,
    every: Annotated[int, typer.Option(min=1, help="evaluate every n-th test frame")] = 40,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda")] = "auto",
    devices: Annotated[str, typer.Option(help="devices of this machine: a number, or auto")] = "auto",
    nodes: Annotated[int, typer.Option(min=1, help="machines")] = 1,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed, 16-mixed")] = None,
    threads: options.Threads = 2,
    compile: Annotated[bool, typer.Option("--compile", help="torch.compile; needs a C++ compiler")] = False,
    json: options.Json = False,
) -> None:
    """Train a network as its paper did, or otherwise; the same command goes on where it was interrupted.

    Example: poseedge train --model graphmlp --data dataset/ --output runs/graphmlp
    """
    require("torch", "export")
    require("lightning_fabric", "train")
    import torch

    from poseedge.models.registry import network_class
    from poseedge.training import recipe as recipes
    from poseedge.training.devices import make_fabric
    from poseedge.training.folder import alone_in
    from poseedge.training.loop import Training
    from poseedge.training.plot import draw_curves
    from poseedge.training.setup import check_qat, set_up
    from poseedge.training.validation import errors_mm

    given = {"epochs": epochs, "steps": steps, "batch": batch}
    overrides = [*(settings or []), *(f"{key}={value}" for key, value in given.items() if value is not None)]
    network_class(model)
    recipe = recipes.load_training_recipe(model, config, overrides + ([f"precision={precision}"] if precision else []), qat)
    check_qat(qat, init, refine or compile, recipe.precision)
    fabric = make_fabric(accelerator, devices, nodes, recipe.precision)
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    job = set_up(recipe, data, detected, init, refine, qat, fabric.device)
    warn([*warnings_of(job.dataset), *job.notes])

    fabric.launch()
    show = Show(quiet=not fabric.is_global_zero)
    evaluate = partial(errors_mm, datasets=job.test, every=every, threads=threads, live=job.live)
    with alone_in(output) if fabric.is_global_zero else nullcontext():
        training = Training(fabric, job.objective, job.source, job.recipe, output, evaluate, show, compile)
        show.say(
            f"{model}: {job.source.windows} windows, {training.steps} steps of {job.recipe.batch}"
            + (f", going on at step {training.step}" if training.step else "")
        )
        with show:
            training.run()
    if not fabric.is_global_zero:
        return
    try:
        draw_curves(output / "log.csv", output / "curves.png", f"{model} on {job.dataset.name}")
    except PoseedgeError as error:
        show.say(f"no plot: {error.message}")
    if json:
        emit_json({"model": model, "output": str(output), "steps": training.step, "log": training.run_folder.history})
        return
    if qat:
        next_step("poseedge", "export", "--model", model, "--checkpoint", output / "best.pth", "--data", data)
        return
    second = ["--refine", output / "best_refine.pth"] if refine else []
    next_step("poseedge", "eval", output / "best.pth", *second, "--data", data)


class Show:
    """Tells a person how a training goes: a bar on a terminal, else a line now and then."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=err, disable=quiet or not err.is_terminal)
        self.task = self.bar.add_task("", total=None)
        self.spoken = time.monotonic()

    def __enter__(self) -> None:
        self.bar.start()

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()

    def say(self, line: str) -> None:
        """Print a line with the time of day."""
        if not self.quiet:
            err.print(f"{time.strftime('%H:%M:%S')}  {line}", soft_wrap=True)

    def __call__(self, status: Status) -> None:
        """Show where the training is."""
        place = f"epoch {status.epoch:.2f}  step {status.step}/{status.steps}  loss {status.loss_mm:.1f}"
        speed = f"{status.steps_per_second:.2f} steps/s"
        self.bar.update(self.task, total=status.steps, completed=status.step, description=f"{place}  {speed}")
        late = time.monotonic() - self.spoken > LINE_SECONDS and not err.is_terminal
        if status.row is not None:
            errors = [f"{key} {value:.2f}" for key, value in status.row.items() if key.startswith("mpjpe_mm")]
            self.say("  ".join([place, *errors, speed]))
        elif late:
            minutes = (status.steps - status.step) / status.steps_per_second / 60
            self.say(f"{place}  {speed}  ETA {minutes:.0f} min")
        if late or status.row is not None:
            self.spoken = time.monotonic()
