"""Run a contrastive pre-training: resumable, with a log, ending in weights to fine-tune."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from poseedge.data.types import PoseDataset
from poseedge.errors import PoseedgeError
from poseedge.files import atomic_write
from poseedge.models.checkpoints import read_checkpoint, save_checkpoint, write_torch
from poseedge.training.folder import OTHER_FOLDER, LogRow, refuse_to_overwrite
from poseedge.training.poseclr import Contrast, InstantSampler, PoseCLR, pretraining_network, without_head

ENCODER = "encoder.pth"


@dataclass(frozen=True)
class Pretraining:
    """What decides the result; ``steps`` alone may change between the parts of one pre-training."""

    frames: int = 243
    steps: int = 20000
    batch: int = 64
    lr: float = 1e-3
    seed: int = 0
    contrast: Contrast = field(default_factory=Contrast)
    config: dict[str, int] = field(default_factory=dict)  # of the network, where it is not the default


def pretrain(
    dataset: PoseDataset, what: Pretraining, output: Path, tell: Callable[[int, LogRow], None], save_every: int = 200
) -> list[LogRow]:
    """Pre-train on ``dataset``, going on from the state in ``output``; return the log.

    ``tell`` hears of every logged step. Each step's randomness follows from seed and step alone, so an interrupted
    pre-training ends with the same weights. ``output`` receives ``state.pth``, ``log.csv`` and, last, ``encoder.pth``.
    """
    output.mkdir(parents=True, exist_ok=True)
    sampler = InstantSampler(dataset, what.frames)
    torch.manual_seed(what.seed)
    encoder = pretraining_network(what.frames, what.contrast.feature_dim, **what.config)
    model = PoseCLR(encoder, what.contrast, torch.Generator().manual_seed(what.seed)).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=what.lr)
    identity = {key: value for key, value in asdict(what).items() if key != "steps"} | {"data": dataset.name}
    done, log = resume(output / "state.pth", identity, model, optimizer)
    for step in range(done, what.steps):
        torch.manual_seed(what.seed + step)  # of drop path
        windows, instants = sampler.draw(what.batch, torch.Generator().manual_seed(what.seed + step))
        loss, nearest, keys = model(windows, instants)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.follow(keys, instants)
        last = step + 1 == what.steps
        if last or (step + 1) % 50 == 0:
            log.append({"step": step + 1, "loss": round(loss.item(), 5), "nearest": round(nearest.item(), 4)})
            tell(step + 1, log[-1])
        if last or (step + 1) % save_every == 0:
            save_state(output / "state.pth", identity, model, optimizer, step + 1, log)
            write_log(output / "log.csv", log)
    if done == what.steps:  # interrupted after its last state
        write_log(output / "log.csv", log)
    torch.manual_seed(what.seed)  # of what is not pre-trained, whether steps were made in this process or not
    network = without_head(encoder)
    network.fps = dataset.fps
    save_checkpoint(output / ENCODER, network, {"pretraining": identity | {"steps": what.steps}})
    return log


def resume(path: Path, identity: dict[str, Any], model: PoseCLR, optimizer: torch.optim.Optimizer) -> tuple[int, list[LogRow]]:
    """Load the state in ``path``, if there is one; return the steps done and the log."""
    if not path.exists():
        refuse_to_overwrite(path.parent, (ENCODER, "log.csv"))
        return 0, []
    state = read_checkpoint(path)
    found = state.get("identity")
    if not isinstance(found, dict):
        raise PoseedgeError(f"{path}: is no pre-training's state", OTHER_FOLDER)
    if found != identity:
        differing = sorted(key for key in {*identity, *found} if identity.get(key) != found.get(key))
        raise PoseedgeError(f"{path}: is of another pre-training, with another {', '.join(differing)}", "give another --output")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["log"]


def save_state(
    path: Path, identity: dict[str, Any], model: PoseCLR, optimizer: torch.optim.Optimizer, step: int, log: list[LogRow]
) -> None:
    """Write all that going on needs, as a whole."""
    state = {"identity": identity, "step": step, "log": log, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    write_torch(state, path)


def write_log(path: Path, log: list[LogRow]) -> None:
    """Write the log as CSV."""
    with atomic_write(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, log[0])
        writer.writeheader()
        writer.writerows(log)
