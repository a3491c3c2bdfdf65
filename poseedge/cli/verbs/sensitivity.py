"""``poseedge sensitivity``: what INT8 costs layer by layer, and the layers to relieve for it to stay within a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poseedge.bench.layer_savings import saved_ms
from poseedge.bundle.reading import open_bundle
from poseedge.cli import options
from poseedge.cli.at_hand import here
from poseedge.cli.console import emit_json, mm, next_step, out, stage, table, warn
from poseedge.data.h36m import load_dataset
from poseedge.errors import PoseedgeError, nearest
from poseedge.graph.lifting import open_float32
from poseedge.int8.placement import place
from poseedge.int8.ranges import cached_ranges
from poseedge.int8.sensitivity import (
    Budget,
    Degradation,
    LayerSensitivity,
    SearchResult,
    Sensitivity,
    as_json,
    choose_runs,
    draw_sensitivity,
)
from poseedge.int8.windows import load_calibration
from poseedge.resources import CALIBRATION_DATA, resource

WORTH = ("flops", "latency")


def sensitivity(
    artefact: Annotated[Path, typer.Argument(help="bundle folder or float32 .onnx file")],
    budget: Annotated[float | None, typer.Option(min=0, help="mean distance that INT8 may cost, millimetres")] = None,
    jitter: Annotated[float | None, typer.Option(min=1, help="jitter that INT8 may have, as a multiple of float32's")] = None,
    by: Annotated[str, typer.Option(help="what the search keeps in INT8: flops, or latency saved here")] = "flops",
    two_step: Annotated[
        bool, typer.Option("--two-step", help="round the inputs of the worst layers in two steps instead of keeping them float")
    ] = False,
    data: options.TrainingData = None,
    frames: Annotated[int, typer.Option(min=12, help="frames to measure on, in runs of twelve")] = 480,
    windows: options.CalibrationWindows = 512,
    migrate: Annotated[float, typer.Option(min=0, max=1, help="as int8.migrate in a recipe")] = 0.5,
    plot: options.Plot = None,
    json: options.Json = False,
) -> None:
    """Quantize each layer alone and rank the layers by what that costs; with a budget, say which to relieve.

    Poses are compared with the float32 graph's on training subjects: the ranking needs no test data.

    Example: poseedge sensitivity build/nanohtnet --jitter 2 --two-step
    """
    if by not in WORTH:
        raise PoseedgeError(f"unknown --by {by!r}", nearest(by, [*WORTH]))
    if by == "latency" and two_step:
        raise PoseedgeError("--by latency goes without --two-step", "it says which layers to keep float")
    path = open_bundle(artefact).graph("fp32") if artefact.is_dir() else artefact
    graph, spec = open_float32(path)
    folder = data or resource(*CALIBRATION_DATA)
    drawn = load_calibration(folder, spec.frames, windows, spec.channels, spec.known_fps, warn)
    dataset = load_dataset(folder)
    with stage("calibrate", windows) as advance:
        ranges = cached_ranges(graph, place(graph), drawn, "minmax", migrate, lambda: advance(1))
    measured = Sensitivity(graph, spec, choose_runs(dataset.of(dataset.train), spec, frames), ranges)
    with stage("quantize each layer alone", len(measured.layers)) as advance:
        ranked = measured.rank(advance)
    saved = None
    if by == "latency":
        with stage("time each layer", 1) as advance:
            saved = saved_ms(graph, measured.quantized([], []), place(graph))
            advance(1)
    limits, found_set = Budget(budget, jitter), None
    if budget is not None or jitter is not None:
        with stage("search", len(measured.layers)) as advance:
            found_set = measured.search(ranked, limits, two_step, advance, saved)
    if plot:
        draw_sensitivity(ranked, f"{path.name}: each layer in INT8 alone", plot)
    remedy = "two_step" if two_step else "keep"
    if json:
        emit_json(report(path, ranked, measured, found_set, remedy, saved))
        return
    show(path, ranked, sum(measured.macs.values()), measured.cost([], []), saved)
    if found_set:
        show_search(found_set, remedy, saved)
        show_next(artefact, spec.model, path, found_set, two_step)
    else:
        next_step("poseedge", "sensitivity", artefact, "--jitter", "2", "--two-step")


def show_search(found: SearchResult, remedy: str, saved: dict[str, float] | None) -> None:
    """Print what to write into the recipe, and what it leaves."""
    cost = found.cost
    out.print(f"in the recipe, under \\[int8]: {remedy} = {found.relieved}".replace("'", '"'), soft_wrap=True)
    out.print(
        f"that leaves {found.int8_share:.1%} of the Linear work in INT8, at {mm(cost.mean_mm)} mm mean distance, "
        f"p99 {mm(cost.p99_mm)} mm, jitter {cost.jitter_ratio:.2f}x"
    )
    if saved:
        kept = 1e3 * sum(ms for name, ms in saved.items() if name not in found.relieved)
        out.print(f"its layers, each timed alone, take {kept:.0f} us less than in float")


def show_next(artefact: Path, model: str, graph: Path, found: SearchResult, two_step: bool) -> None:
    """Print the command that makes the INT8 graph which the search found."""
    if artefact.is_dir() and here("torch"):
        next_step("poseedge", "export", "--model", model, "--recipe", "RECIPE.toml")
        return
    option = "--two-step" if two_step else "--keep"
    relieved = [word for name in found.relieved for word in (option, name)]
    next_step("poseedge", "quantize", graph, *relieved, *(["--output", "mine_int8.onnx"] if artefact.is_dir() else []))


def show(path: Path, ranked: list[LayerSensitivity], total: int, everything: Degradation, saved: dict[str, float] | None) -> None:
    """Print the ranking, with what INT8 saves if that was measured."""
    rows = [
        [layer.name, f"{layer.macs / total:.2%}", *cells(layer.cost), f"{layer.cost.added_jitter**0.5:.2f}"] for layer in ranked
    ]
    rows.append(["all of them", "", *cells(everything), f"{everything.added_jitter**0.5:.2f}"])
    if saved:
        names = [layer.name for layer in ranked]
        for row, us in zip(rows, [*(1e3 * saved[name] for name in names), 1e3 * sum(saved.values())], strict=True):
            row.append(f"{us:+.1f}" if us > 0 else f"{us:+.1f}, slower: stays float")
    title = f"{path.name}: each layer in INT8 alone (mm; jitter in mm per frame squared, the float graph's: "
    columns = ["layer", "work", "MPJPE change", "mean dist", "p99", "jitter", "added", *(["saved, us"] if saved else [])]
    table(f"{title}{everything.float_jitter_mm:.2f})", columns, rows)


def cells(cost: Degradation) -> list[str]:
    """Return the numbers of one row."""
    return [f"{cost.delta_mpjpe_mm:+.3f}", mm(cost.mean_mm), mm(cost.p99_mm), mm(cost.jitter_mm)]


def report(
    path: Path,
    ranked: list[LayerSensitivity],
    measured: Sensitivity,
    found: SearchResult | None,
    remedy: str,
    saved: dict[str, float] | None,
) -> dict[str, Any]:
    """Return the document for machines."""
    search = None
    if found:
        (cost,) = as_json([LayerSensitivity("", 0, found.cost)], 1)
        search = {remedy: found.relieved, "int8_share": found.int8_share, **{k: v for k, v in cost.items() if k.endswith("_mm")}}
    layers = as_json(ranked, sum(measured.macs.values()))
    for layer in layers if saved else []:
        layer["saved_ms"] = saved[layer["name"]]  # type: ignore[index]
    return {"artefact": str(path), "layers": layers, "search": search}
