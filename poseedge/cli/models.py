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
    from poseedge.bench.networks import network_facts
    from poseedge.models import load_checkpoint

    if checkpoint is not None:
        network = load_checkpoint(checkpoint)
        found: dict[str, Any] = {"checkpoint": str(checkpoint), "model": network.name, "config": network.config}
        if json:
            emit_json(found)
            return
        table(f"{checkpoint}: {network.name}", ["setting", "value"], [[key, str(value)] for key, value in network.config.items()])
        next_step(f"poseedge export --model {network.name} --checkpoint {checkpoint}")
        return
    rows = network_facts()
    if json:
        emit_json(rows)
        return
    columns = [
        "network",
        "parameters",
        "MFLOP/window",
        "MFLOP/frame",
        "frames in",
        "out",
        "look-ahead",
        "mode",
        "published MPJPE",
        "weights",
    ]
    table(
        "networks at their default configuration (2 FLOPs per multiply-add, attention products counted)",
        columns,
        list(map(cells, rows)),
    )
    next_step("poseedge export --model nanohtnet")


def cells(row: dict[str, Any]) -> list[str]:
    """Return a network's line of the table."""
    published = row["published"]
    accuracy = f"{published['published_mpjpe_mm']} ({published['published_on']})" if "published_mpjpe_mm" in published else "-"
    return [
        row["name"] + (" (our reconstruction)" if row["reconstruction"] else ""),
        f"{row['parameters']:,}",
        f"{row['flops'] / 1e6:,.1f}",
        f"{row['flops_per_output_frame'] / 1e6:,.1f}",
        str(row["frames"]),
        str(row["frames_out"]),
        str(row["look_ahead"]),
        published["mode"],
        accuracy,
        "bundled" if row["weights_bundled"] else "-",
    ]
