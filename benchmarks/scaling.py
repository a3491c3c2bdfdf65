"""How latency and memory of every network grow with the batch, with the window, and with the people in the picture.

``python -m benchmarks scaling``. Float32 on ONNX Runtime, one thread, deterministic weights. Each network is timed in a process
of its own, whose peak memory is read after every size. Sizes whose call would take longer than ``--longest`` are left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import onnx
import typer

from benchmarks.networks import NETWORKS, Row, deterministic, kept_or_temporary, made_on, notes, record_networks
from benchmarks.options import Graphs, Models, Page, Prepare, Results
from benchmarks.record import DOCS, PAGE, RESULTS, grid, machine_slug, read_record
from poseedge.bench.machine import busy, machine_facts
from poseedge.errors import PoseedgeError
from poseedge.figure import new_figure, save_figure
from poseedge.fold import fold
from poseedge.graph.trace import simplify, trace
from poseedge.models.htnet import HTNet
from poseedge.targets.boards import load_target

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WINDOWS = (27, 81, 243, 351)
PEOPLE = tuple(range(1, 9))
PICTURES = DOCS / "pictures"
Points = dict[str, dict[str, float]]  # by size: milliseconds of a call, and peak bytes


def scaling(
    model: Models = None,
    graphs: Graphs = None,
    budget: Annotated[float, typer.Option(min=0, help="seconds of timing for each size")] = 0.3,
    longest: Annotated[float, typer.Option(help="seconds of a call, beyond which a size is left out")] = 1.0,
    prepare: Prepare = False,
    results: Results = RESULTS,
    page: Page = PAGE,
    pictures: Annotated[Path, typer.Option(help="folder for the figures")] = PICTURES,
) -> None:
    """Time the networks one by one, and record tables and figures of all that were measured on this machine."""
    with kept_or_temporary(graphs) as folder:
        made = {name: graphs_of(name, folder) for name in model or NETWORKS}
        if prepare:
            return
        machine = machine_facts()  # once: afterwards this program itself is the load
        path = results / f"scaling_{machine_slug(machine)}"

        def row(name: str) -> Row:
            return {**timed(made[name], budget, longest), "note": busy(machine)}

        record_networks(path, page, "scaling", list(made), row, markdown, machine=machine)
        draw(read_record(path)["networks"], pictures)


def graphs_of(name: str, folder: Path) -> dict[str, Path]:
    """Return the graphs of a network: of a free batch, of one window, and of one of each length that it takes."""
    usual = deterministic(name)
    wanted: dict[str, dict[str, int] | None] = {"free": {}, "fixed": {}} | {
        f"{frames}": length(name, frames) for frames in WINDOWS
    }
    paths = {what: folder / f"{name}_{what}.onnx" for what, config in wanted.items() if config is not None}
    for what, path in paths.items():
        config = wanted[what]
        if not path.is_file():
            network = deterministic(name, **config) if config else usual
            free = what == "free"
            opset = load_target("default").opset
            traced, _ = simplify(trace(fold(network, free), network.frames, network.in_channels, opset, free))
            folder.mkdir(parents=True, exist_ok=True)
            onnx.save(traced.proto, path)
            print(f"{path}: {len(traced.nodes)} nodes", flush=True)
    return paths


def length(name: str, frames: int) -> dict[str, int] | None:
    """Return the configuration of a network for windows of so many frames, or None if it takes none of that length."""
    usual = deterministic(name)
    key = next((key for key in ("frames", "n_frames") if key in usual.config), None)
    if key is None or frames > max(243, usual.frames):
        return None
    if isinstance(usual, HTNet):  # lifts every frame on its own: a window of several is as many poses of one
        return None
    try:
        network = deterministic(name, **{key: frames})
    except (PoseedgeError, ValueError, RuntimeError):
        return None
    return {key: frames} if network.frames == frames else None


def timed(paths: dict[str, Path], budget: float, longest: float) -> Row:
    """Return what the sizes of one network take, by kind."""
    sizes = {
        "batch": {str(batch): [str(paths["free"]), batch] for batch in BATCHES},
        "window": {str(frames): [str(paths[str(frames)]), 1] for frames in WINDOWS if str(frames) in paths},
        "people, one call each": {str(people): [str(paths["fixed"]), people] for people in PEOPLE},
        "people, one call": {str(people): [str(paths["free"]), people] for people in PEOPLE},
    }
    return {kind: measured(wanted, budget, longest, alone=kind == "window") for kind, wanted in sizes.items()}


def measured(wanted: dict[str, list[Any]], budget: float, longest: float, alone: bool) -> Points:
    """Return the points of one kind, from one process, or, where the graphs differ, from a process each."""
    parts = [{size: call} for size, call in wanted.items()] if alone else [wanted]
    found: Points = {}
    for part in filter(None, parts):
        command = [sys.executable, "-m", "benchmarks.scaling_calls", json.dumps([part, budget, longest])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PoseedgeError(
                f"{next(iter(part.values()))[0]}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
            )
        found |= json.loads(done.stdout)
    return found


def markdown(rows: dict[str, Row]) -> str:
    """Return the rows as readable tables."""
    lines = ["# Scaling", "", *made_on(rows), *notes(rows), ""]
    lines += [
        "Float32, one thread, opset 17. A dash: not measured, since a call takes too long, or the network takes no such window.",
        "",
    ]
    for kind, sizes, title in (
        ("batch", BATCHES, "Milliseconds for each window, by windows of a call"),
        ("batch", BATCHES, "Peak memory, MB, by windows of a call"),
        ("window", WINDOWS, "Milliseconds of a call, by frames of a window"),
        ("people, one call", PEOPLE, "Milliseconds for all people of a frame, by people, lifted in one call"),
        ("people, one call each", PEOPLE, "The same, one call each"),
    ):
        cells = [[name, *(cell(row[kind], size, title) for size in sizes)] for name, row in rows.items()]
        lines += [f"**{title}**", "", *grid(["network", *map(str, sizes)], cells), ""]
    return "\n".join(lines)


def cell(points: Points, size: int, title: str) -> str:
    """Return one number of a table."""
    point = points.get(str(size))
    if point is None:
        return "-"
    if "memory" in title:
        return f"{point['peak_bytes'] / 1e6:.0f}"
    number = point["ms"] / (size if "each window" in title else 1)
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"


def draw(rows: dict[str, Row], folder: Path) -> None:
    """Write a figure of each kind into ``folder``: milliseconds beside peak memory, a line for each network."""
    kinds = {"batch": "windows of a call", "window": "frames of a window", "people": "people, lifted in one call"}
    for kind, label in kinds.items():
        figure = new_figure(11, 5)
        left, right = figure.subplots(1, 2)
        for place, (name, row) in enumerate(rows.items()):
            points = row["people, one call" if kind == "people" else kind]
            sizes = [int(size) for size in points]
            each = [point["ms"] / (size if kind == "batch" else 1) for size, point in zip(sizes, points.values(), strict=True)]
            style = {"marker": "os^vD"[place % 5], "linestyle": ["-", "--", ":"][place // 10 % 3], "color": f"C{place % 10}"}
            left.plot(sizes, each, label=name, markersize=4, **style)
            right.plot(sizes, [point["peak_bytes"] / 1e6 for point in points.values()], markersize=4, **style)
        for axes, title in ((left, "ms for each window" if kind == "batch" else "ms"), (right, "peak memory, MB")):
            axes.set(xlabel=label, ylabel=title, yscale="log", xscale="linear" if kind == "people" else "log")
            ticks = sorted({int(size) for row in rows.values() for size in row["people, one call" if kind == "people" else kind]})
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            low, high = axes.get_ylim()
            steps = [digit * 10.0**power for power in range(-3, 6) for digit in (1, 2, 5)]
            low = max(step for step in steps if step <= low)  # round numbers at both ends
            high = min(step for step in steps if step >= high)
            axes.set_ylim(low, high)
            shown = [step for step in steps if low <= step <= high]
            axes.set_yticks(shown, [f"{step:g}" for step in shown])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
        figure.legend(loc="outside right center", fontsize="small")
        save_figure(figure, folder / f"scaling_{kind}.png")


PROGRAM = scaling
