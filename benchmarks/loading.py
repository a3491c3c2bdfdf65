"""Whether training ever waits for its windows: cutting a batch, a whole training step, and the waiting of a real training.

``python -m benchmarks loading mocap17``. Windows are cut in a thread during the step
before. A step of the published batch takes up to minutes on a processor: steps of two small batches are timed, in real
trainings, and a step is taken to grow by as much with every further window.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from lightning_fabric import Fabric

from benchmarks.networks import NETWORKS, Row, made_on, notes, record_networks
from benchmarks.options import Models, Page, Results
from benchmarks.record import DOCS, RESULTS, grid, machine_slug
from poseedge.bench.machine import busy, machine_facts
from poseedge.errors import PoseedgeError
from poseedge.models.network import LiftingNetwork
from poseedge.training import recipe as recipes
from poseedge.training.batch import ProcessShare, WindowSource
from poseedge.training.loop import Status, Training
from poseedge.training.objective import LiftingObjective, Objective
from poseedge.training.recipe import TrainingRecipe
from poseedge.training.setup import make_network, make_source, read_data

ROUNDS = 7
SMALLER = 32  # the published batch over this is the smaller of the two that are timed


def loading(
    data: Annotated[Path, typer.Argument(help="data set folder")],
    model: Models = None,
    steps: Annotated[int, typer.Option(min=2, help="timed steps of each training")] = 3,
    results: Results = RESULTS,
    page: Page = DOCS / "training.md",
) -> None:
    """Measure networks one by one, on one thread, and record the table of all that were measured on this machine."""
    torch.set_num_threads(1)
    machine = machine_facts()  # once: afterwards this program itself is the load
    datasets = read_data(data, None, recipes.load_training_recipe("nanohtnet"))

    def row(name: str) -> Row:
        network, recipe = make_network(recipes.load_training_recipe(name), None)
        source = make_source(network, recipe, *datasets, datasets[0].train)
        return {**measured(network, recipe, source, steps), "data": datasets[0].name, "note": busy(machine)}

    path = results / f"loading_{machine_slug(machine)}"
    record_networks(path, page, "loading", model or NETWORKS, row, markdown, machine=machine)


def measured(network: LiftingNetwork, recipe: TrainingRecipe, source: WindowSource, steps: int) -> dict[str, Any]:
    """Return what one network's row is made of."""
    small = max(1, recipe.batch // SMALLER)
    watches = [train(network, recipe, source, size, steps) for size in (small, 2 * small)]
    step_s = [statistics.median(watch.step_s) for watch in watches]
    return {
        "frames": network.frames,
        "batch": recipe.batch,
        "windows": source.windows,
        "cut_s": cut_s(source, recipe),
        "timed_batches": [small, 2 * small],
        "timed_step_s": step_s,
        "step_s": extrapolated(step_s[0], step_s[1], recipe.batch / small),
        "waited_share": sum(watch.waited_s for watch in watches) / sum(watch.clock_s for watch in watches),
    }


def extrapolated(once: float, twice: float, times: float) -> float:
    """Return what ``times`` a batch takes that takes ``once``, and of double size ``twice``: a straight line.

    Raises ``PoseedgeError`` where the double batch took no longer.
    """
    if twice <= once:
        raise PoseedgeError(
            f"a batch took {once:.3f} s, one of double size {twice:.3f} s", "measure on an idle machine; more --steps"
        )
    return once + (times - 1) * (twice - once)


@dataclass
class Watch:
    """Times the steps of a training but for the first: of the processor, on the clock, and waiting for windows."""

    training: Training | None = None
    step_s: list[float] = field(default_factory=list)
    clock_s: float = 0.0
    waited_s: float = 0.0
    _at: tuple[float, float, float] | None = None  # all three at the end of the step before

    def listen(self, progress: Status) -> None:
        """Take the time at the end of a step."""
        if progress.row is None:
            self.mark()

    def evaluate(self, _: Objective) -> dict[str, float]:
        """Take the time before the last step is entered and saved."""
        self.mark()
        return {"mpjpe_mm": 0.0}

    def mark(self) -> None:
        """End a step."""
        assert self.training is not None
        now = time.process_time(), time.perf_counter(), self.training.waited
        if self._at is not None:
            self.step_s.append(now[0] - self._at[0])
            self.clock_s += now[1] - self._at[1]
            self.waited_s += now[2] - self._at[2]
        self._at = now


def train(network: LiftingNetwork, recipe: TrainingRecipe, source: WindowSource, size: int, steps: int) -> Watch:
    """Train for ``steps`` after the first with batches of ``size`` windows; return the watch."""
    short = recipe.model_copy(update={"batch": size, "steps": steps + 1, "evaluate_every": steps + 1})
    watch, fabric = Watch(), Fabric(accelerator="cpu", devices=1)
    with tempfile.TemporaryDirectory() as folder:
        objective = LiftingObjective(network)
        watch.training = Training(fabric, objective, source, short, Path(folder), watch.evaluate, watch.listen)
        watch.training.run()
    return watch


def cut_s(source: WindowSource, recipe: TrainingRecipe) -> float:
    """Return the median processor time of cutting a batch of the recipe, after one that is not counted."""
    times, cut = [], partial(source.draw, size=recipe.batch, share=ProcessShare(recipe.seed))
    for step in range(ROUNDS + 1):
        started = time.process_time()
        cut(step)
        times.append(time.process_time() - started)
    return statistics.median(times[1:])


def markdown(rows: dict[str, Row]) -> str:
    """Return the table."""
    columns = ["network", "frames", "batch", "cut, ms", "step, s", "cut / step", "timed, s for windows", "waited"]
    cells = [
        [
            name,
            str(row["frames"]),
            str(row["batch"]),
            f"{1000 * row['cut_s']:.1f}",
            f"{row['step_s']:.1f}",
            f"{100 * row['cut_s'] / row['step_s']:.2f} %",
            ", ".join(f"{s:.2f} for {size}" for s, size in zip(row["timed_step_s"], row["timed_batches"], strict=True)),
            f"{100 * row['waited_share']:.2f} %",
        ]
        for name, row in rows.items()
    ]
    data = ", ".join(sorted({f"`{row['data']}`" for row in rows.values()}))
    intro = (
        f"Published recipes on {data}, one thread. Cut: processor time of a batch, median of {ROUNDS}. Step: processor time of\n"
        "a whole training step of the published batch, extrapolated along a straight line from the two batches that were timed,\n"
        "in real trainings (medians). Waited: share of those trainings' time on the clock in which there were no windows to go\n"
        "on with.\n"
    )
    return "\n".join(["# Loading data\n", intro, *grid(columns, cells), "", *made_on(rows), *notes(rows), ""])


PROGRAM = loading
