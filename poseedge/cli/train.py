"""``poseedge train``: train a network on a data set folder, resumable."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from poseedge.cli.console import emit_json, err, next_step
from poseedge.data.h36m import available_keypoints, load_dataset
from poseedge.data.types import PoseDataset
from poseedge.errors import DataError, PoseedgeError, require

if TYPE_CHECKING:
    from poseedge.models.network import LiftingNetwork
    from poseedge.training.batch import Source
    from poseedge.training.loop import Progress as Point
    from poseedge.training.objective import Objective
    from poseedge.training.recipe import TrainingRecipe

LINE_SECONDS = 30  # between lines where there is no terminal to draw a bar on


def train(
    data: Annotated[Path, typer.Option(help="data set folder with ground-truth and detected 2D keypoints")],
    output: Annotated[Path, typer.Option(help="folder for state, log and checkpoints; training resumes from it")],
    model: Annotated[str, typer.Option(help="network to train, by its published recipe")] = "nanohtnet",
    config: Annotated[str | None, typer.Option(help="TOML file laid over the recipe, or: views")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over both: optimizer.lr=1e-4")] = None,
    init: Annotated[Path | None, typer.Option(help="checkpoint to start from")] = None,
    refine: Annotated[bool, typer.Option("--refine", help="second stage: --init's network with its refine module")] = False,
    qat: Annotated[bool, typer.Option("--qat", help="fit --init's network to INT8, towards its own poses")] = False,
    detected: Annotated[str | None, typer.Option(help="which detected keypoints: detected, cpn_ft_h36m_dbb, ...")] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="instead of epochs")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="windows per step, over all processes")] = None,
    every: Annotated[int, typer.Option(min=1, help="evaluate every n-th test frame")] = 40,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda")] = "auto",
    devices: Annotated[str, typer.Option(help="devices of this machine: a number, or auto")] = "auto",
    nodes: Annotated[int, typer.Option(min=1, help="machines")] = 1,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed, 16-mixed")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of a process")] = 2,
    compile: Annotated[bool, typer.Option("--compile", help="torch.compile; needs a C++ compiler")] = False,
    json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
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
    from poseedge.training.loop import Training
    from poseedge.training.plot import draw_curves
    from poseedge.training.validation import errors_mm

    given = {"epochs": epochs, "steps": steps, "batch": batch}
    overrides = [*(settings or []), *(f"{key}={value}" for key, value in given.items() if value is not None)]
    network_class(model)
    recipe = recipes.load(model, config, overrides + ([f"precision={precision}"] if precision else []), qat)
    check_qat(qat, init, refine or compile, recipe.precision)
    fabric = make_fabric(accelerator, devices, nodes, recipe.precision)
    torch.set_num_threads(threads)
    clean, noisy = read_data(data, detected, recipe)
    torch.manual_seed(recipe.seed)
    network, recipe = make_network(recipe, init)
    objective, recipe = make_objective(network, recipe, init, refine, qat)
    test = [dataset.of(dataset.test) for dataset in (clean, noisy) if dataset is not None]
    if recipe.data.keypoints == "detected" or recipe.data.source == "views":
        test.reverse()  # what is trained on decides what is best
    source = make_source(network, recipe, clean, noisy)

    fabric.launch()
    show = Show(quiet=not fabric.is_global_zero)
    training = Training(
        fabric, objective, source, recipe, output, lambda kept: errors_mm(kept, test, every, threads), show, compile
    )
    show.say(
        f"{model}: {source.windows} windows, {training.steps} steps of {recipe.batch}"
        + (f", going on at step {training.step}" if training.step else "")
    )
    with show:
        training.run()
    if not fabric.is_global_zero:
        return
    try:
        draw_curves(output / "log.csv", output / "curves.png", f"{model} on {clean.name}")
    except PoseedgeError as error:
        show.say(f"no plot: {error.message}")
    if json:
        emit_json({"model": model, "output": str(output), "steps": training.step, "log": training.run_folder.history})
        return
    if qat:
        next_step(f"poseedge export --model {model} --checkpoint {output / 'best.pth'} --data {data}")
        return
    second = f" --refine {output / 'best_refine.pth'}" if refine else ""
    next_step(f"poseedge eval {output / 'best.pth'}{second} --data {data}")


def read_data(folder: Path, detected: str | None, recipe: TrainingRecipe) -> tuple[PoseDataset, PoseDataset | None]:
    """Return the data set with ground-truth and with detected keypoints, the latter None where there are none."""
    clean = load_dataset(folder, "gt")
    others = [kind for kind in available_keypoints(folder) if kind != "gt"]
    if detected is None and len(others) > 1:
        raise DataError(f"{folder}: holds several kinds of detected keypoints", f"choose with --detected: {', '.join(others)}")
    needed = recipe.data.keypoints == "detected" or recipe.data.source == "views"
    if detected is None and not others and needed:
        raise DataError(f"{folder}: holds no detected 2D keypoints", "train on the true ones: --set data.keypoints=gt")
    for role, subjects in (("train", clean.train), ("test", clean.test)):
        if not subjects:
            raise DataError(f"{folder}: no {role} subjects", "its cameras_<name>.json names them; docs/data.md")
    kind = detected or (others[0] if others else None)
    return clean, load_dataset(folder, kind) if kind else None


def make_network(recipe: TrainingRecipe, init: Path | None) -> tuple[LiftingNetwork, TrainingRecipe]:
    """Return the network to train, from ``init`` if given, and the recipe with its whole configuration."""
    from poseedge.models import create, load_checkpoint
    from poseedge.models.network import LiftingNetwork

    network = create(recipe.model, **recipe.network) if init is None else load_checkpoint(init, recipe.model)
    if not isinstance(network, LiftingNetwork):
        raise PoseedgeError(f"{recipe.model} lifts no windows", "refine modules are trained by --refine")
    for key, value in recipe.network.items():
        if network.config.get(key) != value:
            raise PoseedgeError(f"{init}: has {key}={network.config.get(key)}, not {value}", f"leave out network.{key}")
    return network, recipe.model_copy(update={"network": network.config})


def check_qat(qat: bool, init: Path | None, other: bool, precision: str) -> None:
    """Raise ``PoseedgeError`` for what does not go with ``--qat``."""
    if qat and init is None:
        raise PoseedgeError("--qat goes on with a trained network", "give its checkpoint with --init runs/.../best.pth")
    if qat and other:
        raise PoseedgeError("--qat goes with neither --refine nor --compile", "leave them out")
    if qat and precision != "32-true":
        raise PoseedgeError(f"--qat needs --precision 32-true, not {precision}", "INT8's rounding would drown in that of 16 bits")


def make_objective(
    network: LiftingNetwork, recipe: TrainingRecipe, init: Path | None, refine: bool, qat: bool
) -> tuple[Objective, TrainingRecipe]:
    """Return what is trained, and the recipe of this stage."""
    from poseedge.export.recipe import load_recipe
    from poseedge.models import create
    from poseedge.models.refine import RefineNetwork
    from poseedge.training.objective import LiftingObjective, RefiningObjective
    from poseedge.training.qat import QuantizedObjective

    if qat:
        return QuantizedObjective(network, load_recipe(network.name).int8), recipe
    if not refine:
        return LiftingObjective(network), recipe
    recipe = recipe.second_stage()
    if init is None or recipe.refine is None:
        raise PoseedgeError("--refine goes on with a trained network", "give its checkpoint with --init runs/.../best.pth")
    module = create(recipe.refine.module)
    assert isinstance(module, RefineNetwork)
    return RefiningObjective(network, module), recipe


def make_source(network: LiftingNetwork, recipe: TrainingRecipe, clean: PoseDataset, noisy: PoseDataset | None) -> Source:
    """Return the training windows."""
    from poseedge.training.recorded import RecordedWindows
    from poseedge.training.views import Augmentation, ViewSampler

    known, facts = network.supervised_frames, recipe.data
    detected = noisy if noisy is not None else clean
    if facts.source == "views":
        return ViewSampler(clean.of(clean.train), detected.of(clean.train), network.frames, known, Augmentation())
    chosen = detected if facts.keypoints == "detected" else clean
    return RecordedWindows(chosen.of(clean.train), network.frames, known, facts.cut, facts.stride, facts.mirror)


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

    def __call__(self, point: Point) -> None:
        """Show where the training is."""
        place = f"epoch {point.epoch:.2f}  step {point.step}/{point.steps}  loss {point.loss_mm:.1f}"
        speed = f"{point.steps_per_second:.2f} steps/s"
        self.bar.update(self.task, total=point.steps, completed=point.step, description=f"{place}  {speed}")
        late = time.monotonic() - self.spoken > LINE_SECONDS and not err.is_terminal
        if point.row is not None:
            errors = [f"{key} {value:.2f}" for key, value in point.row.items() if key.startswith("mpjpe_mm")]
            self.say("  ".join([place, *errors, speed]))
        elif late:
            minutes = (point.steps - point.step) / point.steps_per_second / 60
            self.say(f"{place}  {speed}  ETA {minutes:.0f} min")
        if late or point.row is not None:
            self.spoken = time.monotonic()
