"""One training from its recipe to its curves: what ``poseedge train`` does, for any program."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric

from poseedge.data.mistakes import warnings_of
from poseedge.errors import PoseedgeError
from poseedge.files import refuse_workplace
from poseedge.models.registry import network_class
from poseedge.progress import Say, Tell
from poseedge.training.devices import make_fabric
from poseedge.training.folder import LogRow, alone_in
from poseedge.training.loop import Listen, Status, Training
from poseedge.training.plot import draw_curves
from poseedge.training.recipe import TrainingRecipe, load_training_recipe
from poseedge.training.setup import TrainingSetup, check_qat, set_up
from poseedge.training.validation import errors_mm


@dataclass(frozen=True)
class TrainingJob:
    """What to train, on which data and devices. The defaults are those of ``poseedge train``."""

    data: Path  # data set folder
    output: Path  # folder of state, log and checkpoints; gone on with if it holds this training
    model: str = "nanohtnet"
    config: str | None = None  # TOML file laid over the recipe, or: views, live
    settings: tuple[str, ...] = ()  # key=value over both
    init: Path | None = None  # checkpoint to start from
    refine: bool = False  # second stage, of ``init`` with its refine module
    qat: bool = False  # fit ``init`` to INT8
    detected: str | None = None  # which detected keypoints
    every: int = 40  # evaluate every n-th test frame
    accelerator: str = "auto"
    devices: str = "auto"
    nodes: int = 1
    threads: int = 2
    compiled: bool = False

    def recipe(self) -> TrainingRecipe:
        """Return the recipe with all that is laid over it; raises ``PoseedgeError`` for what does not go together."""
        network_class(self.model)
        recipe = load_training_recipe(self.model, self.config, self.settings, self.qat)
        check_qat(self.qat, self.init, self.refine or self.compiled, recipe.precision)
        return recipe


@dataclass(frozen=True)
class Trained:
    """What a training left in its folder."""

    step: int
    history: list[LogRow]  # every evaluation
    no_plot: str = ""  # why there are no curves


@dataclass(frozen=True)
class PreparedTraining:
    """A training whose data are read and whose network is made."""

    job: TrainingJob
    fabric: Fabric
    setup: TrainingSetup

    @property
    def warnings(self) -> list[str]:
        """What is suspicious about the data, and what is done otherwise than the recipe says."""
        frames = self.setup.objective.network.frames
        return [*warnings_of(self.setup.dataset, frames, self.setup.known_fps), *self.setup.notes]

    def run(self, tell: Tell, say: Say) -> Trained | None:
        """Train to the end. Of several processes the first alone speaks and returns what became of it; the others None."""
        self.fabric.launch()
        leading = self.fabric.is_global_zero
        with alone_in(self.job.output) if leading else nullcontext():
            training = self._training(partial(report, tell, say))
            if leading:
                say(self._first_line(training))
            training.run()
        if not leading:
            return None
        return Trained(training.step, training.run_folder.history, self._draw())

    def _training(self, listen: Listen) -> Training:
        job, setup = self.job, self.setup
        evaluate = partial(errors_mm, datasets=setup.test, every=job.every, threads=job.threads, live=setup.live)
        return Training(self.fabric, setup.objective, setup.source, setup.recipe, job.output, evaluate, listen, job.compiled)

    def _first_line(self, training: Training) -> str:
        line = f"{self.job.model}: {self.setup.source.windows} windows, {training.steps} steps of {self.setup.recipe.batch}"
        return f"{line}, going on at step {training.step}" if training.step else line

    def _draw(self) -> str:
        folder = self.job.output
        try:
            draw_curves(folder / "log.csv", folder / "curves.png", f"{self.job.model} on {self.setup.dataset.name}")
        except PoseedgeError as error:
            return error.message
        return ""


def prepare(job: TrainingJob) -> PreparedTraining:
    """Read data and make the network; raises ``PoseedgeError`` before anything is written."""
    recipe = job.recipe()
    refuse_workplace(job.output)
    fabric = make_fabric(job.accelerator, job.devices, job.nodes, recipe.precision)
    torch.set_num_threads(job.threads)
    torch.manual_seed(recipe.seed)
    setup = set_up(recipe, job.data, job.detected, job.init, job.refine, job.qat, fabric.device)
    return PreparedTraining(job, fabric, setup)


def report(tell: Tell, say: Say, status: Status) -> None:
    """Say what an evaluation found, and tell where a training is."""
    place = f"epoch {status.epoch:.2f}  step {status.step}/{status.steps}  loss {status.loss_mm:.1f}"
    speed = f"{status.steps_per_second:.2f} steps/s"
    if status.row is not None:
        errors = [f"{key} {value:.2f}" for key, value in status.row.items() if key.startswith("mpjpe_mm")]
        say("  ".join([place, *errors, speed]))
    tell(f"{place}  {speed}", status.step, status.steps)
