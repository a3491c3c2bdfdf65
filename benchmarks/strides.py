"""How often networks that give all frames of their window should be run, and how their overlapping windows should be weighed.

    python -m benchmarks.strides train --data mocap17 --runs runs/strides
    python -m benchmarks.strides measure --data mocap17 --runs runs/strides

Small networks over windows of 243 frames, trained for a minute: they tell how windows disagree towards their ends, not how good
the published networks are.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer

from benchmarks.model_card import CONFIG, TRIAL
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset
from poseedge.network_files import read_table
from poseedge.training import recipe as recipes
from poseedge.training.devices import make_fabric
from poseedge.training.folder import LogRow
from poseedge.training.loop import Training
from poseedge.training.objective import LiftingObjective
from poseedge.training.setup import make_network, make_source

NETWORKS = ("mixste", "hot_mixste", "motionbert", "hot_motionbert", "tpc_mixste")
FRAMES, TOKENS, BATCH = 243, 81, 2

app = typer.Typer(add_completion=False)


@app.callback()
def main() -> None:
    """Compare strides and weights."""


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="data set folder")],
    runs: Annotated[Path, typer.Option(help="folder for the trainings")],
    seconds: Annotated[float, typer.Option(help="of one core's time, in training steps")] = 100,
    network: Annotated[list[str] | None, typer.Option(help="only these (repeat)")] = None,
) -> None:
    """Train the networks that are missing in ``runs``."""
    torch.set_num_threads(1)
    datasets = (load_dataset(data, "gt"), load_dataset(data, "detected"))
    for name in network or NETWORKS:
        if (runs / name / "last.pth").is_file():
            continue
        with TemporaryDirectory() as trial:
            timed = trained(name, datasets, Path(trial), TRIAL)
        last = trained(name, datasets, runs / name, round(seconds * TRIAL / timed["cpu_seconds"]))
        print(name, last, flush=True)


def settings(name: str) -> list[str]:
    """Return what is set beside the model card's configuration: its small size, over 243 frames."""
    small = dict(read_table(name, "small")["network"])
    longer = {"frames": FRAMES, "maxlen": FRAMES, "token_num": TOKENS}
    small |= {key: value for key, value in longer.items() if key in small}
    sizes = [f"network.{key}={json.dumps(value, separators=(',', ':'))}" for key, value in small.items()]
    return [*sizes, f"batch={BATCH}"]


def trained(name: str, datasets: tuple[PoseDataset, PoseDataset], folder: Path, steps: int) -> LogRow:
    """Train a network for ``steps``; return the last line of its log."""
    recipe = recipes.load_training_recipe(name, CONFIG, [*settings(name), f"steps={steps}"])
    torch.manual_seed(recipe.seed)
    network, recipe = make_network(recipe, None)
    source = make_source(network, recipe, *datasets, datasets[0].train)
    fabric = make_fabric("cpu", "1", 1, recipe.precision)
    training = Training(fabric, LiftingObjective(network), source, recipe, folder, lambda _: {"mpjpe_mm": 0.0})
    training.run()
    return training.run_folder.history[-1]


if __name__ == "__main__":
    app()
