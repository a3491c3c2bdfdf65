"""``poseedge pretrain``: contrastive pre-training without 3D labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poseedge.cli import options
from poseedge.cli.console import emit_json, next_step, out, stage, warn
from poseedge.data.h36m import load_dataset
from poseedge.data.mistakes import warnings_of
from poseedge.errors import DataError, require


def pretrain(
    data: Annotated[Path, typer.Option(help="data set folder; its training subjects' 2D keypoints are read, no 3D")],
    output: Annotated[Path, typer.Option(file_okay=False, help="folder for state, log and weights; resumed from")],
    keypoints: options.Keypoints = "gt",
    frames: Annotated[int, typer.Option(min=9, max=2187, help="window of the network")] = 243,
    steps: Annotated[int, typer.Option(min=1)] = 20000,
    batch: Annotated[int, typer.Option(min=1, max=options.LARGEST_STEP, help="instants per step")] = 64,
    lr: Annotated[float, typer.Option(help="learning rate")] = 1e-3,
    queue: Annotated[int, typer.Option(min=1, max=1 << 20, help="keys of other instants that are kept")] = 20480,
    momentum: Annotated[float, typer.Option(min=0, max=1, help="of the key encoder; shorter runs want less")] = 0.999,
    temperature: Annotated[float, typer.Option(help="of the contrast")] = 0.5,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: options.Threads = 2,
    json: options.Json = False,
) -> None:
    """Pre-train NanoHTNet by PoseCLR: views of one instant attract, other instants repel. Partly our reconstruction.

    Example: poseedge pretrain --data dataset/ --output runs/poseclr
    """
    require("torch", "export")
    import torch

    from poseedge.training.folder import alone_in
    from poseedge.training.poseclr import Contrast
    from poseedge.training.pretraining import ENCODER, Pretraining
    from poseedge.training.pretraining import pretrain as run

    torch.set_num_threads(threads)
    dataset = load_dataset(data, keypoints)
    warn(warnings_of(dataset, frames))
    if not dataset.train:
        raise DataError(f"{data}: no train subjects", "its cameras_<name>.json names them; docs/data.md")
    contrast = Contrast(queue=queue, momentum=momentum, temperature=temperature)
    what = Pretraining(frames=frames, steps=steps, batch=batch, lr=lr, seed=seed, contrast=contrast)
    with alone_in(output), stage("pre-train", steps) as advance:
        reached = 0

        def tell(step: int, row: dict[str, float]) -> None:
            nonlocal reached
            advance(step - reached)
            reached = step

        log = run(dataset.of(dataset.train), what, output, tell)
    if json:
        emit_json({"output": str(output), "log": log})
        return
    out.print(f"loss {log[-1]['loss']:.3f}, nearest to its other views {log[-1]['nearest']:.0%} after {steps} steps")
    next_step("poseedge", "train", "--data", data, "--init", output / ENCODER, "--output", output / "fine-tuned")
