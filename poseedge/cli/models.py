"""``poseedge models``: what networks exist, and what a checkpoint is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poseedge.cli.console import emit_json, next_step, table
from poseedge.errors import require


def models(
    checkpoint: Annotated[Path | None, typer.Option(help="say which network and configuration this .pth holds")] = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the networks, or recognise a checkpoint.

    Example: poseedge models --checkpoint model.pth
    """
    require("torch", "export")
    from poseedge.models import load_checkpoint
    from poseedge.models.facts import facts

    if checkpoint is not None:
        network = load_checkpoint(checkpoint)
        found: dict[str, Any] = {"checkpoint": str(checkpoint), "model": network.name, "config": network.config}
        if json:
            emit_json(found)
            return
        table(f"{checkpoint}: {network.name}", ["setting", "value"], [[key, str(value)] for key, value in network.config.items()])
        next_step(f"poseedge export --model {network.name} --checkpoint {checkpoint}")
        return
    rows = facts()
    if json:
        emit_json(rows)
        return
    columns = ["model", "parameters", "MFLOP/window", "MFLOP/frame", "frames in", "out", "mode", "published MPJPE", "weights"]
    table(
        "networks (FLOPs: 2 per multiply-add, attention products counted)",
        columns,
        [
            [
                row["name"] + (" (our reconstruction)" if row["reconstruction"] else ""),
                f"{row['parameters']:,}",
                f"{row['flops'] / 1e6:.1f}",
                f"{row['flops'] / row['frames_out'] / 1e6:.1f}",
                str(row["frames"]),
                str(row["frames_out"]),
                row["mode"],
                f"{row['published_mpjpe_mm']} ({row['published_on']})" if row["published_mpjpe_mm"] else "-",
                "bundled" if row["bundled"] else "-",
            ]
            for row in rows
        ],
    )
    next_step("poseedge export --model nanohtnet")
