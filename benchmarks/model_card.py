"""The model card: every network trained on one data set under one budget, then tested.

    python -m benchmarks model_card --data mocap17 --runs runs/card

The budget is processor time of one core, so other work on the machine takes none of it. How many steps it allows is measured
first; the recorded command names the steps, so it repeats a row whatever the machine's speed. After every network
``results/model_card.json`` and ``docs/model_card.md`` are written; a network in the former is not made again.
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

from benchmarks.record import RESULTS, write_json, write_text
from poseedge.backends.registry import load
from poseedge.bench.machine import machine_facts
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset
from poseedge.evaluation.predict import predict
from poseedge.evaluation.score import score
from poseedge.network_files import network_files, read_table
from poseedge.training import recipe as recipes
from poseedge.training.devices import make_fabric
from poseedge.training.folder import LogRow
from poseedge.training.loop import Training
from poseedge.training.objective import LiftingObjective
from poseedge.training.setup import make_network, make_source

CONFIG = "benchmarks/model_card.toml"
TEMPLATE = Path(__file__).with_name("model_card_page.md")
PAGE = Path(__file__).parents[1] / "docs" / "model_card.md"
TRIAL = 15  # steps, timed to know how many there can be

NETWORKS = [name for name in network_files() if read_table(name, "small")]


def make(
    data: Annotated[Path, typer.Option(help="data set folder")],
    runs: Annotated[Path, typer.Option(help="folder for the trainings")],
    seconds: Annotated[float, typer.Option(help="of one core's time, in training steps")] = 40,
    network: Annotated[list[str] | None, typer.Option(help="only these")] = None,
    results: Annotated[Path, typer.Option(help="folder for the JSON file")] = RESULTS,
    page: Annotated[Path, typer.Option(help="the card")] = PAGE,
) -> None:
    """Make the rows that are missing."""
    torch.set_num_threads(1)
    path = results / "model_card.json"
    card: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    card |= {"data": data.name, "cpu_seconds": seconds, "machine": machine_facts()}
    datasets = (load_dataset(data, "gt"), load_dataset(data, "detected"))
    test = [every_second_clip(dataset.of(dataset.test)) for dataset in datasets]
    for name in network or NETWORKS:
        if name in card["rows"]:
            continue
        with TemporaryDirectory() as trial:
            timed = trained(name, datasets, Path(trial), TRIAL)
        steps = round(seconds * TRIAL / timed["cpu_seconds"])
        last = trained(name, datasets, runs / name, steps)
        row = {
            "command": shlex.join(training_command(name, data.name, steps)),
            "steps": steps,
            "epochs": last["epoch"],
            "cpu_seconds": last["cpu_seconds"],
            "cpu_seconds_per_epoch": last["cpu_seconds"] / last["epoch"],
            "test": {dataset.keypoints: tested(runs / name / "last.pth", dataset) for dataset in test},
        }
        card["rows"][name] = row
        write_json(path, card)
        write_text(page, text_of(card))
        print(name, json.dumps(row), flush=True)


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


def text_of(card: dict[str, Any]) -> str:
    """Return the page that shows ``card``."""
    rows = dict(sorted(card["rows"].items()))
    columns = [(kind, key) for kind in ("gt", "detected") for key in ("mpjpe_mm", "p_mpjpe_mm", "mpjve_mm")]
    head = ["network", *(f"{key.removesuffix('_mm').upper().replace('_', '-')} {kind}" for kind, key in columns)]
    table = [[*head, "steps", "epochs", "CPU s per epoch"], ["---"] * (len(head) + 3)]
    for name, row in rows.items():
        errors = [f"{row['test'][kind][key]:.1f}" for kind, key in columns]
        table.append([name, *errors, str(row["steps"]), f"{row['epochs']:.3f}", f"{row['cpu_seconds_per_epoch']:.0f}"])
    return TEMPLATE.read_text().format(
        data=card["data"],
        cpu_seconds=card["cpu_seconds"],
        epochs_low=min(row["epochs"] for row in rows.values()),
        epochs_high=max(row["epochs"] for row in rows.values()),
        frames=next(iter(rows.values()))["test"]["gt"]["frames"],
        table="\n".join(f"| {' | '.join(line)} |" for line in table),
        cpu=card["machine"]["cpu"],
        torch=card["machine"]["packages"]["torch"],
        commands="\n".join(f"    {row['command']}" for row in rows.values()),
    )


PROGRAM = make

if __name__ == "__main__":
    typer.run(PROGRAM)
