"""The model card: every network trained on one data set under one budget, then tested.

    python -m benchmarks model_card --data mocap17 --runs runs/card

The budget is processor time of one core, so other work on the machine takes none of it. How many steps it allows is measured
first; the recorded command names the steps, so it repeats a row whatever the machine's speed. A network that is recorded is not
made again.
"""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer

from benchmarks.networks import NETWORKS, Row, made_on, record_networks
from benchmarks.options import Data, Models, Page, Results
from benchmarks.record import DOCS, RESULTS, grid, read_record
from poseedge.backends.registry import load
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset
from poseedge.evaluation.predict import predict
from poseedge.evaluation.score import score
from poseedge.network_files import read_table
from poseedge.training import recipe as recipes
from poseedge.training.devices import make_fabric
from poseedge.training.folder import LogRow
from poseedge.training.loop import Training
from poseedge.training.objective import LiftingObjective
from poseedge.training.setup import make_network, make_source

CONFIG = "benchmarks/model_card.toml"
TRIAL = 15  # steps, timed to know how many there can be
ERRORS = [(kind, key) for kind in ("gt", "detected") for key in ("mpjpe_mm", "p_mpjpe_mm", "mpjve_mm")]


def make(
    data: Data,
    runs: Annotated[Path, typer.Option(help="folder for the trainings")],
    seconds: Annotated[float, typer.Option(help="of one core's time, in training steps")] = 150,
    model: Models = None,
    results: Results = RESULTS,
    page: Page = DOCS / "model_card.md",
) -> None:
    """Make the rows that are missing."""
    torch.set_num_threads(1)
    path = results / "model_card"
    known = read_record(path).get("networks", {})
    datasets = (load_dataset(data, "gt"), load_dataset(data, "detected"))

    def row(name: str) -> Row:
        return {"data": data.name, "seconds": seconds, **trained_and_tested(name, data.name, datasets, runs, seconds)}

    record_networks(path, page, "card", [name for name in model or NETWORKS if name not in known], row, markdown)


def trained_and_tested(name: str, data: str, datasets: tuple[PoseDataset, PoseDataset], runs: Path, seconds: float) -> Row:
    """Train ``name`` for ``seconds`` of processor time, test it, and return what its row tells."""
    with TemporaryDirectory() as trial:
        timed = trained(name, datasets, Path(trial), TRIAL)
    steps = round(seconds * TRIAL / timed["cpu_seconds"])
    last = trained(name, datasets, runs / name, steps)
    test = [every_second_clip(dataset.of(dataset.test)) for dataset in datasets]
    return {
        "command": shlex.join(training_command(name, data, steps)),
        "steps": steps,
        "epochs": last["epoch"],
        "cpu_seconds": last["cpu_seconds"],
        "cpu_seconds_per_epoch": last["cpu_seconds"] / last["epoch"],
        "test": {dataset.keypoints: tested(runs / name / "last.pth", dataset) for dataset in test},
    }


def settings(name: str) -> list[str]:
    """Return what is set beside ``CONFIG``: the network's small size, narrower and shallower than published.

    Windows of 27 frames where it takes windows, to the same end: some hundred steps within the budget.
    """
    small = read_table(name, "small")
    sizes = [f"network.{key}={json.dumps(value, separators=(',', ':'))}" for key, value in small["network"].items()]
    return [*sizes, f"batch={small['batch']}"]


def training_command(name: str, data: str, steps: int) -> list[str]:
    """Return the words of the command that does what ``trained`` does."""
    words = ["poseedge", "train", "--model", name, "--data", data, "--output", f"runs/card/{name}", "--config", CONFIG]
    return [*words, "--steps", str(steps), "--threads", "1", *(word for s in settings(name) for word in ("--set", s))]


def trained(name: str, datasets: tuple[PoseDataset, PoseDataset], folder: Path, steps: int) -> LogRow:
    """Train ``name`` as the command does, and return the last line of its log; its own evaluation is left out."""
    recipe = recipes.load_training_recipe(name, CONFIG, [*settings(name), f"steps={steps}"])
    torch.manual_seed(recipe.seed)
    network, recipe = make_network(recipe, None)
    source = make_source(network, recipe, *datasets, datasets[0].train)
    fabric = make_fabric("cpu", "1", 1, recipe.precision)
    training = Training(fabric, LiftingObjective(network), source, recipe, folder, lambda _: {"mpjpe_mm": 0.0})
    training.run()
    return training.run_folder.history[-1]


def every_second_clip(dataset: PoseDataset) -> PoseDataset:
    """Return what the first camera sees of every second clip: whole clips, so that velocities can be measured."""
    seen = {(s.subject, s.action): s for s in reversed(dataset.sequences)}
    return replace(dataset, sequences=tuple(reversed(seen.values()))[::2])


def tested(checkpoint: Path, dataset: PoseDataset) -> dict[str, Any]:
    """Return the errors of a checkpoint on every frame of ``dataset``, and how long that took."""
    lifter = load(checkpoint)
    started = time.process_time()
    scores = score(predict(lifter, dataset))
    kept = scores.model_dump(include={"frames", "mpjpe_mm", "p_mpjpe_mm", "mpjve_mm"})
    return {**kept, "cpu_seconds": time.process_time() - started}


def markdown(rows: dict[str, Row]) -> str:
    """Return the rows as a readable table, and the commands that make them."""
    data, seconds, frames = (
        ", ".join(dict.fromkeys(values))
        for values in (
            (f"`{row['data']}`" for row in rows.values()),
            (f"{row['seconds']:g} s" for row in rows.values()),
            (f"{row['test']['gt']['frames']:,}" for row in rows.values()),
        )
    )
    epochs = sorted(row["epochs"] for row in rows.values())
    head = ["network", *(f"{key.removesuffix('_mm').upper().replace('_', '-')} {kind}" for kind, key in ERRORS)]
    cells = [
        [
            name,
            *(f"{row['test'][kind][key]:.1f}" for kind, key in ERRORS),
            *(str(row["steps"]), f"{row['epochs']:.3f}", f"{row['cpu_seconds_per_epoch']:.0f}"),
        ]
        for name, row in rows.items()
    ]
    lines = [
        "# Model card",
        "",
        f"Trained on {data}, each for **{seconds} of processor time of one core**: {epochs[0]:.2f} to {epochs[-1]:.2f} passes "
        f"over the data. Tested on {frames} frames. Millimetres; MPJVE per frame. An epoch is a window around every recorded "
        "frame of every camera.",
        "",
        *grid([*head, "steps", "epochs", "CPU s per epoch"], cells),
        "",
        *made_on(rows),
        "",
        "These commands, from the repository's folder, make the rows again:",
        "",
        *(f"    {row['command']}" for row in rows.values()),
    ]
    return "\n".join(lines) + "\n"


PROGRAM = make
