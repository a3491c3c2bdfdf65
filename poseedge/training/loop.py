"""The training loop: resumable to the same result, with averaged weights and a cosine schedule."""

from __future__ import annotations

import copy
import csv
import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poseedge.errors import PoseedgeError
from poseedge.files import atomic_write
from poseedge.models.checkpoints import load_strictly, read_checkpoint, save_checkpoint
from poseedge.models.layers import DropPath
from poseedge.models.registry import LiftingNetwork
from poseedge.training.views import ViewSampler

Evaluate = Callable[[LiftingNetwork], dict[str, float]]


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the result, apart from the data."""

    steps: int = 20_000
    batch: int = 128
    lr: float = 1e-3
    lr_min: float = 1e-5
    warmup: int = 300
    average: float = 0.999  # decay of the exponential moving average that is evaluated and kept
    regularize: bool = False  # dropout and stochastic depth; off, because views never repeat
    seed: int = 1
    bf16: bool = True
    compile: bool = False
    evaluate_every: int = 1000


def mpjpe_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean joint distance, metres; ``(B, K, 17, 3)`` each.

    Raises ``PoseedgeError`` for a network whose ``forward`` gives other frames than its ``output_frames``.
    """
    if predicted.shape != target.shape:
        raise PoseedgeError(f"the network gives {tuple(predicted.shape)} for targets {tuple(target.shape)}", "train it elsewhere")
    return (predicted - target).norm(dim=-1).mean()


def train(
    network: LiftingNetwork,
    sampler: ViewSampler,
    config: TrainingConfig,
    folder: Path,
    evaluate: Evaluate,
    report: Callable[[str], None],
) -> LiftingNetwork:
    """Train ``network`` and return its averaged copy; ``folder`` keeps the state, the log and the last checkpoint.

    If ``folder`` holds a state, training goes on from there. ``steps`` and the evaluation interval may differ then.
    """
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    if not config.regularize:
        without_regularization(network)
    averaged = copy.deepcopy(network).eval()
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, amsgrad=True, fused=True)
    state_file = folder / "state.pth"
    step = 0
    if state_file.exists():
        state = read_checkpoint(state_file)
        load_strictly(network, state["network"], state_file)
        load_strictly(averaged, state["averaged"], state_file)
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        torch.set_rng_state(state["rng"])
        step = state["step"]
        report(f"resuming at step {step}")

    forward = torch.compile(network) if config.compile else network
    network.train()
    running, started, first = math.nan, time.monotonic(), step
    while step < config.steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        keypoints, target = sampler.batch(config.batch, generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
            predicted = forward(keypoints)
        loss = mpjpe_loss(predicted.float(), target)
        if not torch.isfinite(loss):
            raise PoseedgeError(f"the loss became {loss.item()} at step {step}", "lower the learning rate, or check the data")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        average(averaged, network, min(config.average, (1 + step) / (10 + step)))
        running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0:
            rate = (time.monotonic() - started) / (step - first)
            eta = rate * (config.steps - step) / 60
            report(f"step {step}/{config.steps}  loss {1000 * running:.1f} mm  {rate:.3f} s/step  ETA {eta:.0f} min")
        if step % config.evaluate_every == 0 or step == config.steps:
            metrics = evaluate(averaged)
            row = {"step": step, "loss_mm": 1000 * running, **metrics}
            report("  ".join(f"{key} {value:.2f}" for key, value in row.items()))
            append_row(folder / "log.csv", row)
            save_checkpoint(
                folder / "last.pth", averaged, {"step": step, "training": dataclasses.asdict(config), "metrics": metrics}
            )
            save_state(state_file, network, averaged, optimizer, generator, step)
    return averaged


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine from ``lr`` to ``lr_min``."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr_min + (config.lr - config.lr_min) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def without_regularization(network: nn.Module) -> None:
    """Set every dropout and stochastic-depth rate to zero."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, DropPath):
            module.rate = 0.0


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move ``averaged`` towards ``network`` by ``1 - decay``."""
    ours = [p.data for p in averaged.parameters()]
    torch._foreach_lerp_(ours, [p.data for p in network.parameters()], 1 - decay)


def save_state(
    path: Path, network: nn.Module, averaged: nn.Module, optimizer: Any, generator: torch.Generator, step: int
) -> None:
    """Write all that resuming needs."""
    state = {
        "network": network.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "rng": torch.get_rng_state(),
        "step": step,
    }
    with atomic_write(path) as temporary:
        torch.save(state, temporary)


def append_row(path: Path, row: dict[str, float]) -> None:
    """Append to a CSV log, with a header if it is new."""
    new = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
