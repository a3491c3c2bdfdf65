"""The training loop, on one process or many; resumable to the same result."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import nn

from poseedge.errors import PoseedgeError
from poseedge.models.checkpoints import load_strictly
from poseedge.models.layers import DropPath
from poseedge.training.batch import Batch, ProcessShare, WindowSource
from poseedge.training.folder import LogRow, RunFolder
from poseedge.training.objective import Objective
from poseedge.training.recipe import TrainingRecipe
from poseedge.training.step import make_step

EvaluateObjective = Callable[[Objective], dict[str, float]]
SAVE_SECONDS = 120.0  # how much work an interruption may cost


@dataclass(frozen=True)
class Status:
    """Where a training is."""

    step: int
    steps: int
    epoch: float
    loss_mm: float  # a thousand times the loss, averaged over the last steps
    steps_per_second: float
    row: LogRow | None  # the evaluation, if there was one at this step


Listen = Callable[[Status], None]


class Training:
    """One training: ``run`` takes ``objective`` from where ``folder`` has it to the end that ``recipe`` states.

    ``evaluate`` gives named errors, the first of which says what is best. The first process alone evaluates, writes and
    speaks to ``listen``. Randomness has no state (``ProcessShare``), so weights, optimizer and step are all that resuming needs.
    """

    def __init__(
        self,
        fabric: Fabric,
        objective: Objective,
        source: WindowSource,
        recipe: TrainingRecipe,
        folder: Path,
        evaluate: EvaluateObjective,
        listen: Listen = lambda _: None,
        compiled: bool = False,
    ) -> None:
        self.fabric, self.objective, self.source, self.recipe = fabric, objective, source, recipe
        self.evaluate, self.listen = evaluate, listen
        self.share = ProcessShare(recipe.seed, fabric.global_rank, fabric.world_size)
        if recipe.batch % self.share.world:
            raise PoseedgeError(f"a batch of {recipe.batch} does not divide between {self.share.world} processes", "see --batch")
        self.per_epoch = math.ceil(source.windows / recipe.batch)
        self.steps = recipe.total_steps(self.per_epoch)
        if not recipe.regularize:
            without_regularization(objective)
        fabric.to_device(objective)
        self.kept = copy.deepcopy(objective).eval() if recipe.average else objective
        self.optimizer = make_optimizer(objective, recipe)
        identity = recipe.model_dump(mode="json") | {"windows": source.windows, "processes": self.share.world}
        identity |= objective.identity
        self.run_folder = RunFolder(folder, identity)
        self.step, self.running, self.seconds, self.cpu_seconds = 0, math.nan, 0.0, 0.0
        self.waited = 0.0  # seconds of this process's run in which there were no windows to go on with
        self.resume()
        model = cast(nn.Module, torch.compile(objective)) if compiled else objective
        model, optimizer = fabric.setup(model, self.optimizer)
        self.make = make_step(fabric, objective, model, optimizer, recipe, compiled)

    def run(self) -> Objective:
        """Train to the end and return what is kept: the objective, or its average if the recipe asks for one.

        Raises ``PoseedgeError`` at the first loss that is not finite.
        """
        started = saved = time.monotonic()
        first, before, leading = self.step, self.seconds, self.fabric.is_global_zero
        evaluating = 0.0
        self.objective.train()
        with ThreadPoolExecutor(1) as ahead:  # the windows of the next step are cut during this one
            upcoming = ahead.submit(self.draw, self.step)
            while self.step < self.steps:
                spent = time.process_time()
                asked = time.monotonic()
                batch, upcoming = upcoming.result(), ahead.submit(self.draw, self.step + 1)
                self.waited += time.monotonic() - asked
                self.advance(batch)
                self.cpu_seconds += time.process_time() - spent
                row = None
                now = time.monotonic()
                self.seconds = before + now - started - evaluating
                if self.step == self.steps or self.step % (self.recipe.evaluate_every or self.per_epoch) == 0:
                    row = self.enter() if leading else None
                    self.fabric.barrier()
                    saved = time.monotonic()
                    evaluating += saved - now
                elif leading and now - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
                if leading:
                    rate = (self.step - first) / (self.seconds - before)
                    self.listen(Status(self.step, self.steps, self.step / self.per_epoch, 1000 * self.running, rate, row))
        return self.kept

    def draw(self, step: int) -> Batch:
        """Return this process's windows of ``step``."""
        return self.source.draw(step, self.recipe.batch, self.share)

    def advance(self, batch: Batch) -> None:
        """Make one step."""
        torch.manual_seed(self.share.number(self.step, purpose=2))  # what dropout draws
        if (momentum := self.recipe.batch_norm_momentum(self.step, self.per_epoch)) is not None:
            set_momentum(self.objective, momentum)
        value = self.make(batch, self.recipe.learning_rate(self.step, self.per_epoch))
        if not math.isfinite(value):
            raise PoseedgeError(f"the loss became {value} at step {self.step}", "lower optimizer.lr, or check the data")
        self.step += 1
        self.running = value if math.isnan(self.running) else 0.98 * self.running + 0.02 * value
        if self.kept is not self.objective:
            average(self.kept, self.objective, min(self.recipe.average, (1 + self.step) / (10 + self.step)))

    def enter(self) -> LogRow:
        """Evaluate, and write checkpoints, log and state."""
        self.kept.eval()
        metrics = self.evaluate(self.kept)
        self.objective.train()
        row = {
            "step": self.step,
            "epoch": round(self.step / self.per_epoch, 4),
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "lr": self.recipe.learning_rate(self.step - 1, self.per_epoch),
            "loss_mm": 1000 * self.running,
            **metrics,
        }
        self.run_folder.enter(row, self.kept, selection=next(iter(metrics)))
        self.save()
        return row

    def save(self) -> None:
        """Write the state."""
        self.run_folder.write_state(
            {
                "step": self.step,
                "running": self.running,
                "seconds": self.seconds,
                "cpu_seconds": self.cpu_seconds,
                "optimizer": self.optimizer.state_dict(),
                "objective": {ending: network.state_dict() for ending, network in self.objective.parts.items()},
                "kept": {ending: network.state_dict() for ending, network in self.kept.parts.items()},
            }
        )

    def resume(self) -> None:
        """Take up the state that the folder holds, if it holds one."""
        state = self.run_folder.read_state()
        self.fabric.barrier()  # nobody writes before all have read
        if state is None:
            return
        for objective, name in ((self.objective, "objective"), (self.kept, "kept")):
            for ending, network in objective.parts.items():
                load_strictly(network, state[name][ending], self.run_folder.state_file)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.running = state["step"], state["running"]
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]


def make_optimizer(objective: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over all that can be trained."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer.name]
    parameters = [p for p in objective.parameters() if p.requires_grad]
    facts = recipe.optimizer
    return kind(parameters, lr=facts.lr, weight_decay=facts.weight_decay, amsgrad=facts.amsgrad, fused=True)


def without_regularization(network: nn.Module) -> None:
    """Set every dropout and stochastic-depth rate to zero."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, DropPath):
            module.rate = 0.0


def set_momentum(network: nn.Module, momentum: float) -> None:
    """Set how fast the statistics of all batch norms follow."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = momentum


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the weights of ``averaged`` towards those of ``network`` by ``1 - decay``; statistics are taken over."""
    ours = [p.data for p in averaged.parameters()]
    torch._foreach_lerp_(ours, [p.data for p in network.parameters()], 1 - decay)
    for ours_now, theirs in zip(averaged.buffers(), network.buffers(), strict=True):
        ours_now.copy_(theirs)
