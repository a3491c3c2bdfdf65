"""``poseedge compare``: two graphs of one network, layer by layer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from poseedge.cli import options
from poseedge.cli.console import emit_json, err, mm, next_step, out, stage, table, warn
from poseedge.data.mistakes import warnings_of
from poseedge.data.sources import open_dataset
from poseedge.engines.sides import open_side
from poseedge.errors import ArtefactError
from poseedge.graph.compare import Comparison, draw_comparison, passes_needed, tensor_comparison
from poseedge.int8.windows import calibration_windows
from poseedge.lifter import ENGINE_SUFFIXES
from poseedge.resources import SAMPLE_DATA, resource


def compare_graphs(
    this: Annotated[Path, typer.Argument(help=".onnx or .engine file that is taken for exact, such as a bundle's fp32 graph")],
    other: Annotated[Path, typer.Argument(help=".onnx or .engine file of the same network, exported alike")],
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="relative error; default 1e-4, 0.01 with fp16, 0.1 with int8")
    ] = None,
    every_tensor: Annotated[bool, typer.Option("--all", help="every tensor, not the last of each layer")] = False,
    windows: Annotated[int, typer.Option(min=1, max=options.MOST_WINDOWS, help="windows to run both on")] = 8,
    data: options.Data = None,
    keypoints: options.Keypoints = "gt",
    plot: options.Plot = None,
    json: options.Json = False,
) -> None:
    """Compare two graphs layer by layer and name the first layer where they part. Exits with 1 if they do.

    ONNX files run in ONNX Runtime as they are written. An engine shows no tensors inside: its graph is built a second
    time, with them as outputs, which TensorRT can then not fuse away.

    Example: poseedge compare build/nanohtnet/nanohtnet_fp32.onnx build/nanohtnet/nanohtnet_int8.onnx
    """
    sides = open_side(this), open_side(other)
    taken = [(side.spec.frames, side.spec.channels) for side in sides]
    if taken[0] != taken[1]:
        raise ArtefactError(f"{this} takes windows {taken[0]}, {other} takes {taken[1]} (frames, channels)")
    dataset = open_dataset(data or resource(*SAMPLE_DATA), keypoints)
    frames, channels = taken[0]
    warn(warnings_of(dataset, frames, sides[0].spec.known_fps))
    motion = calibration_windows([dataset.of(dataset.test)], frames, windows, channels=channels)
    for engine in (path for path in (this, other) if path.suffix in ENGINE_SUFFIXES):
        err.print(f"building {engine.name} a second time, with its tensors as outputs", markup=False, soft_wrap=True)
    with stage("windows", windows * passes_needed(*sides, every_tensor)) as advance:
        found = tensor_comparison(*sides, motion, every_tensor, tolerance, advance)
    if plot:
        draw_comparison(found, f"{this.name} against {other.name}, {windows} windows of {dataset.name}", plot)
    if json:
        emit_json(report(this, other, windows, found))
    else:
        show(this, other, found)
    if found.first:
        raise typer.Exit(1)


def report(this: Path, other: Path, windows: int, found: Comparison) -> dict[str, Any]:
    """Return everything that was found."""
    return {
        "artefact": str(this),
        "against": str(other),
        "windows": windows,
        "tolerance": found.tolerance,
        "layers": [{**asdict(layer), "sqnr_db": layer.sqnr_db} for layer in found.layers],
        "first": found.first.name if found.first else None,
        "distance_mm": found.distance_mm,
    }


def show(this: Path, other: Path, found: Comparison) -> None:
    """Print the layers, the first parting and the distance of the poses."""
    rows = [
        [
            layer.name,
            layer.operator,
            number_text(layer.relative_error, ".2e"),
            "-" if layer.relative_error is None else number_text(layer.sqnr_db, ".1f", "same"),
            number_text(layer.largest, ".2e"),
            "*" if layer.parts(found.tolerance) else "",
        ]
        for layer in found.layers
    ]
    columns = ["layer", "last operator", "relative error", "SQNR dB", "largest", f"> {found.tolerance:g}"]
    table(f"{this.name} against {other.name}", columns, rows, ("last operator",))
    distance = found.distance_mm
    out.print(
        f"joints: {mm(distance['mean'])} mm apart on average, p99 {mm(distance['p99'])} mm, at most {mm(distance['max'])} mm"
    )
    if {this.suffix, other.suffix} & set(ENGINE_SUFFIXES):
        out.print("an engine's joints are its own; its layers are those of the second build, which could fuse less")
    if found.first:
        out.print(f"they part at [bold]{escape(found.first.name)}[/bold]: relative error above {found.tolerance:g}")
    else:
        out.print(f"no layer is further apart than {found.tolerance:g}")
    next_step("poseedge", "eval", other, "--against", this)


def number_text(value: float | None, form: str, absent: str = "not finite") -> str:
    """Format a value that may be missing."""
    return absent if value is None else f"{value:{form}}"
