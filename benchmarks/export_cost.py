"""Seconds and memory of ``poseedge export``, of every network at its default configuration.

``python -m benchmarks export_cost``. Linux only.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.command_cost import POSEEDGE, cost_of_command
from benchmarks.networks import NETWORKS, Row, deterministic, made_on, record_networks
from benchmarks.options import Models, Page, Results
from benchmarks.record import PAGE, RESULTS, grid, machine_slug
from poseedge.bench.machine import busy, machine_facts
from poseedge.models.checkpoints import save_checkpoint

EVERY = 350  # parity on one frame of each test sequence
_EXPORT = [*POSEEDGE, "export", "--precision", "fp32"]


def export_cost(
    model: Models = None,
    every: Annotated[int, typer.Option(min=1, help="parity on every n-th frame of the bundled sample")] = EVERY,
    results: Results = RESULTS,
    page: Page = PAGE,
) -> None:
    """Export networks one by one and record the table of all that were exported on this machine."""
    machine = machine_facts()  # once: afterwards this program itself is the load
    record_networks(
        results / f"export_{machine_slug(machine)}",
        page,
        "export",
        model or NETWORKS,
        lambda name: {**cost_of(name, every), "every": every, "note": busy(machine)},
        markdown,
        machine=machine,
    )


def cost_of(name: str, every: int) -> dict[str, Any]:
    """Export network ``name`` in float32; return wall seconds, and the most memory that all processes held at one time."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, bundle = Path(folder, f"{name}.pth"), Path(folder, "bundle")
        save_checkpoint(checkpoint, deterministic(name), {})
        wanted = ["--model", name, "--checkpoint", str(checkpoint), "--output", str(bundle), "--every", str(every)]
        seconds, peak = cost_of_command(f"{name}: export", [*_EXPORT, *wanted])
        graph = json.loads((bundle / "manifest.json").read_text())["graphs"]["fp32"]
    return {"seconds": seconds, "peak_bytes": peak, "file_bytes": graph["bytes"], "opset": graph["opset"]}


def markdown(rows: dict[str, Row]) -> str:
    """Return the rows as a readable table."""
    every = ", ".join(sorted({str(row["every"]) for row in rows.values()}))
    lines = [
        "# What an export takes",
        "",
        *made_on(rows),
        "",
        "`poseedge export --precision fp32`, all included: fold, trace, simplifier, check against PyTorch on sample windows,",
        f"parity on every {every}th frame of the bundled motion; of networks that lift whole sequences, each motion from one of",
        "its cameras and all poses of the windows that hold such a frame: 4 windows, 854 poses. Peak: of all processes together.",
        "",
    ]
    lines += grid(
        ["network", "seconds", "peak memory, GB", "graph, MB", "opset", "note"],
        [
            [
                name,
                f"{row['seconds']:.1f}",
                f"{row['peak_bytes'] / 1e9:.2f}",
                f"{row['file_bytes'] / 1e6:.1f}",
                str(row["opset"]),
                row["note"],
            ]
            for name, row in rows.items()
        ],
    )
    return "\n".join(lines) + "\n"


PROGRAM = export_cost
