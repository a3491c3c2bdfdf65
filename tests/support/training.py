"""Networks of a size that trains in seconds, and windows to train them on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from poseedge.data.h36m import load_dataset
from poseedge.models import create
from poseedge.models.network import LiftingNetwork
from poseedge.training import recipe as recipes
from poseedge.training.batch import Batch, ProcessShare
from poseedge.training.loop import Status, Training
from poseedge.training.objective import LiftingObjective, Objective
from poseedge.training.recipe import TrainingRecipe
from tests.support.folders import MINI

CLEAN = load_dataset(MINI, "gt")
SETTINGS: dict[str, Any] = {"frames": 9, "keep_frames": 3, "channel": 48, "layers": 1, "d_hid": 32, "hid": 4}
State = dict[str, torch.Tensor]


class FewWindows:
    """Eight windows whose poses follow from their keypoints, four of them in a step."""

    windows = 8

    def __init__(self, spoil: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(5)
        keypoints = torch.rand(8, 9, 17, 2, generator=generator) - 0.5
        joints = torch.cat([keypoints, keypoints.sum(-1, keepdim=True)], dim=-1)[:, 3:6] + spoil
        root = joints[:, :, 0]
        self.batch = Batch(keypoints, joints - root[:, :, None], root, torch.rand(8, 9, generator=generator))

    def draw(self, step: int, size: int, share: ProcessShare) -> Batch:
        rows = torch.randint(8, (size,), generator=share.generator(step))
        return Batch(*(part[rows] for part in self.batch))


def network(name: str = "nanohtnet", **settings: Any) -> LiftingNetwork:
    torch.manual_seed(0)
    made = create(name, **(settings or SETTINGS))
    assert isinstance(made, LiftingNetwork)
    return made


def recipe(*settings: str, model: str = "nanohtnet") -> TrainingRecipe:
    """Return the published recipe with two steps to an epoch of ``FewWindows``."""
    return recipes.load_training_recipe(model, settings=["batch=4", *settings])


def training(
    folder: Path,
    used: TrainingRecipe,
    evaluate: Callable[[Objective], dict[str, float]] = lambda _: {"mpjpe_mm": 1.0},
    spoil: float = 0.0,
    listen: Callable[[Status], None] = lambda _: None,
    accelerator: str = "cpu",
    **settings: Any,
) -> Training:
    """Return a training of the small NanoHTNet on ``FewWindows``."""
    fabric = Fabric(accelerator=accelerator, devices=1, precision=used.precision)
    return Training(fabric, LiftingObjective(network(**settings)), FewWindows(spoil), used, folder, evaluate, listen)


def trained(folder: Path, used: TrainingRecipe, **arguments: Any) -> State:
    """Train and return the weights that are kept."""
    return weights(training(folder, used, **arguments).run())


def weights(objective: Objective) -> State:
    return dict(objective.network.state_dict())


def same(one: State, other: State) -> bool:
    """Tell whether two networks are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())
