"""``poseedge models``: what networks exist, and what a checkpoint is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poseedge.bench.networks import network_facts
from poseedge.cli import options
from poseedge.cli.at_hand import here, some_bundle
from poseedge.cli.console import emit_json, next_step, out, table
from poseedge.errors import PoseedgeError, require
from poseedge.settings import network_settings


def models(
    checkpoint: Annotated[Path | None, typer.Option(help="say which network and configuration this file holds")] = None,
    model: options.CheckpointModel = None,
    settings: options.Settings = None,
    json: options.Json = False,
) -> None:
    """List the networks, or recognise a checkpoint.

    Example: poseedge models --checkpoint model.pth
    """
    if checkpoint is not None:
        require("torch", "export")
        show_checkpoint(checkpoint, model, settings or [], json)
        return
    if model or settings:
        raise PoseedgeError("--model and --set say what a checkpoint is", "name it with --checkpoint")
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
    next_step("poseedge", "export", "--model", "nanohtnet") if here("torch") else next_step("poseedge", "bench", some_bundle())


def show_checkpoint(path: Path, model: str | None, settings: list[str], json: bool) -> None:
    """Print which network a checkpoint holds, what of that is assumed, and which other networks it fits."""
    from poseedge.models import load_checkpoint

    network = load_checkpoint(path, model, network_settings(settings))
    assert network.identity is not None
    assumed, others = network.identity.assumed, network.identity.others
    if json:
        found = {"checkpoint": str(path), "model": network.name, "config": network.config}
        emit_json(found | {"assumed": list(assumed), "fits": list(others)})
        return
    said = {key: "  (assumed: the file does not tell)" for key in assumed}
    rows = [[key, f"{value}{said.get(key, '')}"] for key, value in network.config.items()]
    fitting = f"; fits {', '.join(others)} as well: --model" if others else ""
    out.print(f"{path}: {network.name}{fitting}", soft_wrap=True)
    table("", ["setting", "value"], rows, text=("value",))
    if assumed:
        out.print(f"another value: --set network.{assumed[0]}=...", soft_wrap=True)
    chosen = [word for setting in settings for word in ("--set", setting)]
    next_step("poseedge", "export", "--model", network.name, "--checkpoint", path, *chosen)


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
