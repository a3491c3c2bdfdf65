"""``poseedge models``: what networks exist, and what a checkpoint is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poseedge.cli.console import emit_json, next_step, out, table
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
        "params M",
        "GFLOP/window",
        "/frame",
        "in",
        "out",
        "ahead",
        "mode",
        "MPJPE mm",
        "published on",
        "weights",
    ]
    table(
        "networks at their default configuration: frames in, out and ahead; 2 FLOPs per multiply-add, attention products counted",
        columns,
        list(map(cells, rows)),
        text=("published on",),
    )
    if any(row["reconstruction"] for row in rows):
        out.print("* our reconstruction: the authors have not published the network file")
    next_step("poseedge export --model nanohtnet")


def cells(row: dict[str, Any]) -> list[str]:
    """Return a network's line of the table."""
    published = row["published"]
    return [
        row["name"] + (" *" if row["reconstruction"] else ""),
        f"{row['parameters'] / 1e6:.3f}",
        f"{row['flops'] / 1e9:.3f}",
        f"{row['flops_per_output_frame'] / 1e9:.3f}",
        str(row["frames"]),
        str(row["frames_out"]),
        str(row["look_ahead"]),
        published["mode"],
        str(published.get("published_mpjpe_mm", "-")),
        published.get("published_on", ""),
        "bundled" if row["weights_bundled"] else "-",
    ]
