"""``poseedge train``: train a network on a data set folder, resumable."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from poseedge.cli.console import err, next_step
from poseedge.data.h36m import load_dataset
from poseedge.errors import require
from poseedge.evaluation import predict, score


def train(
    data: Annotated[Path, typer.Option(help="data set folder with ground-truth and detected 2D keypoints")],
    output: Annotated[Path, typer.Option(help="folder for state, log and checkpoint; training resumes from it")],
    model: Annotated[str, typer.Option(help="network to train")] = "nanohtnet",
    detected: Annotated[
        str, typer.Option(help="the keypoints whose errors are learned: detected, cpn_ft_h36m_dbb, ...")
    ] = "detected",
    steps: Annotated[int, typer.Option(min=1)] = 24_000,
    batch: Annotated[int, typer.Option(min=1)] = 128,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    compile: Annotated[bool, typer.Option("--compile", help="torch.compile; needs a C++ compiler")] = False,
) -> None:
    """Train on augmented views of the recordings; one set of weights serves clean and detected keypoints.

    Example: poseedge train --data dataset/ --output runs/nanohtnet
    """
    require("torch", "export")
    import torch

    from poseedge.backends.torch import TorchLifter
    from poseedge.models import create
    from poseedge.models.registry import LiftingNetwork
    from poseedge.training.loop import TrainingConfig
    from poseedge.training.loop import train as run
    from poseedge.training.views import Augmentation, ViewSampler

    torch.set_num_threads(threads)
    clean, noisy = load_dataset(data, "gt"), load_dataset(data, detected)
    network = create(model)
    if not isinstance(network, LiftingNetwork):
        raise typer.BadParameter(f"{model} lifts no windows")
    sampler = ViewSampler(clean.of(clean.train), noisy.of(noisy.train), network.frames, network.output_frames, Augmentation())

    def evaluate(averaged: LiftingNetwork) -> dict[str, float]:
        lifter = TorchLifter(averaged, output, threads)
        result = {}
        for dataset in (clean, noisy):
            scores = score(predict(lifter, dataset.of(dataset.test), every=40), every=40)
            result[f"mpjpe_mm_{dataset.keypoints}"] = float(scores["mpjpe_mm"])
        return result

    output.mkdir(parents=True, exist_ok=True)
    config = TrainingConfig(steps=steps, batch=batch, compile=compile)
    run(network, sampler, config, output, evaluate, lambda line: err.print(f"{time.strftime('%H:%M:%S')}  {line}"))
    next_step(f"poseedge export --model {model} --checkpoint {output / 'last.pth'}")
