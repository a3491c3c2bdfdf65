"""Seconds and memory of ``poseedge export``, of every network at its default configuration.

Run as a module from the repository: ``python -m benchmarks.export_cost``. Linux only: it reads /proc.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.compare_networks import FAMILIES, deterministic
from benchmarks.record import PAGE, RESULTS, embed, grid, machine_slug, record, versions
from poseedge.bench.machine import busy, machine_facts
from poseedge.errors import PoseedgeError
from poseedge.models.checkpoints import save_checkpoint

NETWORKS = tuple(name for family in FAMILIES for name in family)
EVERY = 350  # parity on one frame of each test sequence
SAMPLING_S = 0.02
_EXPORT = [sys.executable, "-c", "from poseedge.cli.app import main; main()", "export", "--precision", "fp32"]


def export_cost(
    model: Annotated[list[str] | None, typer.Option(help="only these networks (repeat)")] = None,
    every: Annotated[int, typer.Option(min=1, help="parity on every n-th frame of the bundled sample")] = EVERY,
    results: Annotated[Path, typer.Option(help="folder for the JSON file and the table")] = RESULTS,
    page: Annotated[Path, typer.Option(help="page of the documentation that shows the table")] = PAGE,
) -> None:
    """Export networks one by one and record the table of all that were exported on this machine."""
    machine = machine_facts()
    path = results / f"export_{machine_slug(machine)}"
    before = path.with_suffix(".json")
    rows = json.loads(before.read_text())["networks"] if before.is_file() else {}
    for name in NETWORKS:
        if not model or name in model:
            rows[name] = {**cost_of(name, every), "every": every, "note": busy(machine)}
            print(f"{name}: {rows[name]['seconds']:.1f} s, {rows[name]['peak_bytes'] / 1e9:.2f} GB")
    rows = {name: rows[name] for name in NETWORKS if name in rows}
    table = markdown(machine, rows)
    record(path, {"machine": machine, "networks": rows}, table)
    embed(page, "export", table)


def cost_of(name: str, every: int) -> dict[str, Any]:
    """Export network ``name`` in float32; return wall seconds, and the most memory that all processes held at one time."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, bundle = Path(folder, f"{name}.pth"), Path(folder, "bundle")
        save_checkpoint(checkpoint, deterministic(name), {})
        wanted = ["--model", name, "--checkpoint", str(checkpoint), "--output", str(bundle), "--every", str(every)]
        start, peak = time.perf_counter(), 0
        with Path(folder, "log").open("w+") as log, subprocess.Popen([*_EXPORT, *wanted], stdout=log, stderr=log) as process:
            while process.poll() is None:
                peak = max(peak, resident_bytes(process.pid))
                time.sleep(SAMPLING_S)
            log.seek(0)
            if process.returncode:
                raise PoseedgeError(f"{name}: export failed with status {process.returncode}: {log.read()[-500:]}")
        seconds = time.perf_counter() - start
        graph = json.loads((bundle / "manifest.json").read_text())["graphs"]["fp32"]
    return {"seconds": seconds, "peak_bytes": peak, "file_bytes": graph["bytes"], "opset": graph["opset"]}


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants; pages that they share count for each."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total = int(line.split()[1]) * 1024
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except OSError:  # it has ended meanwhile
        return total
    return total + sum(resident_bytes(int(child)) for child in children)


def markdown(machine: dict[str, Any], rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as a readable table."""
    every = ", ".join(sorted({str(row["every"]) for row in rows.values()}))
    lines = [
        "# What an export takes",
        "",
        versions(machine),
        "`poseedge export --precision fp32`, all included: fold, trace, simplifier, check against PyTorch on sample windows,",
        f"parity on every {every}th frame of the bundled motion. Peak: of all processes together.",
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


if __name__ == "__main__":
    typer.run(export_cost)
