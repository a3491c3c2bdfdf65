"""Seconds and memory of calibrating a float32 graph, by every method, and of ranking its layers by what their INT8 costs.

``python -m benchmarks calibration_cost``. Linux only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.command_cost import POSEEDGE, cost_of_command
from benchmarks.options import Page, Results
from benchmarks.record import RESULTS, grid, machine_slug, record, versions
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.bench.machine import busy, machine_facts
from poseedge.errors import ArtefactError
from poseedge.int8.ranges import METHODS

NOTES = Path(__file__).with_name("NOTES.md")
SHORTEST = 12  # frames of parity: `poseedge quantize` is to calibrate, not to prove


def calibration_cost(
    graph: Annotated[Path, typer.Argument(help="float32 ONNX file")] = Path("build/nanohtnet/nanohtnet_fp32.onnx"),
    windows: Annotated[int, typer.Option(min=1, help="calibration windows")] = 512,
    frames: Annotated[int, typer.Option(min=12, help="frames that the layers are ranked on")] = 480,
    results: Results = RESULTS,
    page: Page = NOTES,
) -> None:
    """Run the commands one by one, each with an empty cache, and record the table."""
    if not graph.is_file():
        raise ArtefactError(f"{graph}: no such graph", "poseedge export --model nanohtnet --output build/nanohtnet")
    machine, model = machine_facts(), OnnxLifter(graph).spec.model
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, arguments) in enumerate(commands(graph, windows, frames, Path(folder, "int8.onnx"))):
            fresh = {"XDG_CACHE_HOME": str(Path(folder, f"cache-{number}"))}
            seconds, peak = cost_of_command(name, [*POSEEDGE, *arguments], fresh)
            rows.append({"command": name, "seconds": seconds, "peak_bytes": peak, "note": busy(machine)})
            print(f"{name}: {seconds:.1f} s, {peak / 1e9:.2f} GB")
    report = {"machine": machine, "model": model, "windows": windows, "frames": frames, "commands": rows}
    path = results / f"calibration_{model}_{machine_slug(machine)}"
    record(path, report, markdown(report), page, "calibration")


def commands(graph: Path, windows: int, frames: int, output: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield what is measured, and the arguments of ``poseedge`` that do it."""
    count = ["--windows", str(windows)]
    for method in METHODS:
        short = ["--frames", str(SHORTEST), "--output", str(output)]
        yield f"quantize, {method}", ["quantize", str(graph), "--calibration", method, *count, *short]
    yield "sensitivity", ["sensitivity", str(graph), *count, "--frames", str(frames)]


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a readable table."""
    windows, frames = report["windows"], report["frames"]
    lines = [
        f"# What calibrating {report['model']} takes",
        "",
        versions(report["machine"]),
        f"{windows} windows, nothing cached, all of a command included: `poseedge quantize` with parity on {SHORTEST} frames,",
        f"`poseedge sensitivity` on {frames} with its calibration. Peak: of all processes together.",
        "",
    ]
    rows = report["commands"]
    cells = [[row["command"], f"{row['seconds']:.1f}", f"{row['peak_bytes'] / 1e9:.2f}", row["note"]] for row in rows]
    return "\n".join([*lines, *grid(["command", "seconds", "peak memory, GB", "note"], cells)]) + "\n"


PROGRAM = calibration_cost
