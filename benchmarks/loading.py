"""How long cutting a batch takes, for every network's published recipe, beside a training step of it.

    python -m benchmarks.loading --data mocap17 graphmlp htnet

Processor time, so that other work on the machine hardly counts.
Batches are cut in a thread during the step before, so loading costs time only where it takes longer than a step.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer

from poseedge.cli.console import table
from poseedge.cli.train import make_network, make_source, read_data
from poseedge.training import recipe as recipes
from poseedge.training.batch import Batch, Share, Source
from poseedge.training.loop import make_optimizer
from poseedge.training.losses import total
from poseedge.training.objective import LiftingObjective
from poseedge.training.recipe import TrainingRecipe

ROUNDS = 5


def measure(
    data: Annotated[Path, typer.Option(help="data set folder")],
    timed: Annotated[list[str] | None, typer.Argument(help="networks of which a step is timed too")] = None,
    config: Annotated[str | None, typer.Option(help="laid over the recipes, as in poseedge train")] = None,
) -> None:
    """Print the table, on one thread."""
    torch.set_num_threads(1)
    rows, datasets = [], read_data(data, None, recipes.load("nanohtnet"))
    for name in recipes.names():
        recipe = recipes.load(name, config)
        network, recipe = make_network(recipe, None)
        source, share = make_source(network, recipe, *datasets), Share(recipe.seed)
        cut_ms = median_ms(partial(draw, source, recipe, share), ROUNDS)
        step_ms = "-"
        if name in (timed or []):
            step_ms = f"{step_time_ms(LiftingObjective(network).train(), recipe, source.draw(0, recipe.batch, share)):.0f}"
        rows.append([name, str(network.frames), str(recipe.batch), f"{cut_ms:.1f}", f"{1000 / cut_ms:.0f}", step_ms])
    table("Cutting a batch", ["network", "frames", "batch", "cut CPU ms", "batches/s", "step CPU ms"], rows)


def draw(source: Source, recipe: TrainingRecipe, share: Share, step: int) -> None:
    """Cut the windows of ``step``."""
    source.draw(step, recipe.batch, share)


def step_time_ms(objective: LiftingObjective, recipe: TrainingRecipe, batch: Batch) -> float:
    """Return the median processor time of a training step on ``batch``."""
    optimizer = make_optimizer(objective, recipe)

    def step(_: int) -> None:
        optimizer.zero_grad()
        torch.stack([total(recipe.loss, *pair) for pair in objective(*batch)]).sum().backward()
        optimizer.step()

    return median_ms(step, 3)


def median_ms(work: Callable[[int], object], rounds: int) -> float:
    """Return the median processor time of ``work(round)``, after one that is not counted."""
    times = []
    for number in range(rounds + 1):
        started = time.process_time()
        work(number)
        times.append(time.process_time() - started)
    return 1000 * statistics.median(times[1:])


if __name__ == "__main__":
    typer.run(measure)
