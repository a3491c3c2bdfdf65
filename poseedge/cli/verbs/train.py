"""``poseedge train``: train a network on a data set folder, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poseedge.cli import options
from poseedge.cli.bars import LongBar
from poseedge.cli.console import emit_json, next_step, warn
from poseedge.errors import require


def train(
    data: Annotated[Path, typer.Option(help="data set folder with ground-truth and detected 2D keypoints")],
    output: Annotated[Path, typer.Option(file_okay=False, help="folder for state, log and checkpoints; resumed from")],
    model: Annotated[str, typer.Option(help="network to train, by its published recipe")] = "nanohtnet",
    config: Annotated[str | None, typer.Option(help="TOML file laid over the recipe, or: views, live")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over both: optimizer.lr=1e-4")] = None,
    init: Annotated[Path | None, typer.Option(help="checkpoint to start from")] = None,
    refine: Annotated[bool, typer.Option("--refine", help="second stage: --init's network with its refine module")] = False,
    qat: Annotated[bool, typer.Option("--qat", help="fit --init's network to INT8, towards its own poses")] = False,
    detected: Annotated[str | None, typer.Option(help="which detected keypoints: detected, cpn_ft_h36m_dbb, ...")] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="instead of epochs")] = None,
    batch: Annotated[int | None, typer.Option(min=1, max=options.LARGEST_STEP, help="windows per step, of all processes")] = None,
    every: Annotated[int, typer.Option(min=1, help="evaluate every n-th test frame")] = 40,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda")] = "auto",
    devices: Annotated[str, typer.Option(help="devices of this machine: a number, or auto")] = "auto",
    nodes: Annotated[int, typer.Option(min=1, help="machines")] = 1,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed, 16-mixed")] = None,
    threads: options.Threads = 2,
    compile: Annotated[bool, typer.Option("--compile", help="torch.compile; needs a C++ compiler")] = False,
    json: options.Json = False,
) -> None:
    """Train a network as its paper did, or otherwise; the same command goes on where it was interrupted.

    Example: poseedge train --model graphmlp --data dataset/ --output runs/graphmlp
    """
    require("torch", "export")
    require("lightning_fabric", "train")
    from poseedge.training.job import TrainingJob, prepare

    given = {"epochs": epochs, "steps": steps, "batch": batch, "precision": precision}
    job = TrainingJob(
        data=data,
        output=output,
        model=model,
        config=config,
        settings=(*(settings or []), *(f"{key}={value}" for key, value in given.items() if value is not None)),
        init=init,
        refine=refine,
        qat=qat,
        detected=detected,
        every=every,
        accelerator=accelerator,
        devices=devices,
        nodes=nodes,
        threads=threads,
        compiled=compile,
    )
    training = prepare(job)
    warn(training.warnings)
    with LongBar() as bar:
        trained = training.run(bar.tell, bar.say)
        if trained is not None and trained.no_plot:
            bar.say(f"no plot: {trained.no_plot}")
    if trained is None:
        return
    if json:
        emit_json({"model": model, "output": str(output), "steps": trained.step, "log": trained.history})
    elif qat:
        next_step("poseedge", "export", "--model", model, "--checkpoint", output / "best.pth", "--data", data)
    else:
        second = ["--refine", output / "best_refine.pth"] if refine else []
        next_step("poseedge", "eval", output / "best.pth", *second, "--data", data)
