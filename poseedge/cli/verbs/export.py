"""``poseedge export``: checkpoint to bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from poseedge.bundle.manifest import Description, Proof
from poseedge.bundle.triton import add_model, check_places
from poseedge.cli import options
from poseedge.cli.console import emit_json, mm, next_step, out, stage, table, warn
from poseedge.errors import require
from poseedge.resources import CALIBRATION_DATA, SAMPLE_DATA, resource
from poseedge.settings import network_settings

SHAKY = 2.0  # times the jitter of the PyTorch network, beyond which the fix is named


def export(
    model: Annotated[str, typer.Option(help="network to export; its recipe is export/MODEL.toml")],
    checkpoint: Annotated[Path | None, typer.Option(help="your .pth; default: the weights that travel with poseedge")] = None,
    settings: options.Settings = None,
    target: Annotated[str, typer.Option(help="what will run it; poseedge targets shows them")] = "default",
    precision: options.Precisions = None,
    output: Annotated[Path | None, typer.Option(file_okay=False, help="bundle folder; default: build/MODEL")] = None,
    data: Annotated[
        Path | None, typer.Option(help="data set whose test subjects prove parity; default: the bundled sample")
    ] = None,
    calib: options.CalibrationData = None,
    recipe: Annotated[Path | None, typer.Option(help="another recipe file")] = None,
    every: Annotated[int, typer.Option(min=1, help="show parity on every n-th frame, or on the windows that hold it")] = 1,
    free_batch: Annotated[
        bool, typer.Option("--free-batch", help="leave the batch free; default: one window, fastest on the edge")
    ] = False,
    flip: Annotated[
        bool, typer.Option("--flip", help="graphs that do the flip test themselves: twice the work, the papers' accuracy")
    ] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="beside each graph its streaming form, a frame in, a pose out: VideoPose3D")
    ] = False,
    calibration: Annotated[
        str | None, typer.Option(help="INT8 ranges by minmax, percentile, entropy or mse; default: the recipe's")
    ] = None,
    steady: Annotated[
        bool, typer.Option("--steady", help="INT8 with less jitter, and slower: the recipe's int8.two_step layers round twice")
    ] = False,
    triton: Annotated[
        Path | None, typer.Option(file_okay=False, help="also write a model repository for NVIDIA's Triton Inference Server")
    ] = None,
    json: options.Json = False,
) -> None:
    """Turn a checkpoint into FP32, FP16, INT8 and INT8-in-FP16 ONNX graphs and prove in millimetres that the pose survived.

    Example: poseedge export --model nanohtnet --target jetson-orin-nano
    """
    require("torch", "export")
    from poseedge.export.job import Export, int8_as_asked, precisions_for, recipe_for, weights_for
    from poseedge.export.pipeline import export_bundle
    from poseedge.targets.boards import load_target

    where = load_target(target)
    precisions = precisions_for(where, precision)
    chosen = int8_as_asked(recipe_for(model, recipe), precisions, calibration, steady)
    weights, bundled = weights_for(chosen, checkpoint)
    job = Export(
        recipe=chosen,
        checkpoint=weights,
        bundled=bundled,
        target_name=target,
        target=where,
        precisions=precisions,
        output=output or Path("build") / model,
        data=data or resource(*SAMPLE_DATA),
        calibration=calib or resource(*CALIBRATION_DATA),
        every=every,
        free_batch=free_batch,
        steady=steady,
        flip=flip,
        stream=stream,
        settings=network_settings(settings or []),
    )
    if triton is not None:
        check_places(triton, model, precisions)
    manifest = export_bundle(job, stage)
    passed = all(row.against_reference.passed is not False for row in manifest.parity.values())
    if triton is not None and passed:
        for graph in manifest.graphs.values():
            add_model(triton, job.output / graph.file)
    warn(manifest.warnings)
    if json:
        emit_json(manifest)
    else:
        show(manifest, job.output, passed, steady)
        if triton is not None:
            out.print(f"model repository {triton}: " + ("written" if passed else "not written"), soft_wrap=True)
        next_step("poseedge", "bench", job.output)
    if not passed:
        raise typer.Exit(1)


def show(manifest: Description, output: Path, passed: bool, steady: bool) -> None:
    """Print the parity table; and if an INT8 graph jitters that was not made steady, the fix."""
    data = manifest.dataset
    rows = [["PyTorch", "-", "-", "-", mm(manifest.reference.mpjpe_mm), "-", "-", "-", "-", "-", "reference"]]
    for precision, graph in manifest.graphs.items():
        row = manifest.parity[precision]
        between = row.against_reference
        distance = between.distance_mm
        verdict = {True: "pass", False: "MISSED", None: "no limit"}[between.passed]
        rows.append(
            [
                precision,
                str(graph.opset),
                str(graph.nodes),
                f"{graph.bytes / 1e6:.2f}",
                mm(row.mpjpe_mm),
                f"{between.delta_mpjpe_mm:+.3f}",
                mm(distance.mean),
                mm(distance.p99),
                *("-" if times is None else f"{times:.2f}x" for times in jitters_of(row)),
                verdict,
            ]
        )
    where = f"{data.name}, test subjects, {data.keypoints} keypoints, {data.frames} frames"
    title = f"{manifest.model}: parity on {where} (mm)"
    sizes, jitters = ["opset", "nodes", "MB"], ["jitter\nalone", "jitter\noverlap"]
    table(title, ["precision", *sizes, "MPJPE", "change", "mean dist", "p99", *jitters, "limits"], rows)
    if not steady:
        show_jitter({name: jitters_of(row) for name, row in manifest.parity.items() if "int8" in name})
    for precision, entry in (manifest.streams or {}).items():
        said = f"{entry.from_windows_mm:.1e} mm from the windows' poses at most, on {entry.frames} frames"
        out.print(f"{precision}, streaming form: {entry.file}, {said}")
    if manifest.simplifier != "onnxsim":
        out.print(f"warning: the graph was not simplified: {manifest.simplifier}")
    out.print(f"bundle written to {output}" + ("" if passed else "; a parity limit was missed"))


def jitters_of(row: Proof) -> tuple[float | None, float | None]:
    """Return how many times the PyTorch network's jitter a graph has: windows alone, and averaged where they overlap."""
    both = row.against_reference.jitter_mm, row.overlap.jitter_mm if row.overlap else None
    alone, mean = (jitter.this / jitter.against if jitter else None for jitter in both)
    return alone, mean


def show_jitter(found: Mapping[str, tuple[float | None, float | None]]) -> None:
    """Say which graphs jitter beyond what MPJPE shows, and what helps: averaging, or rounding twice."""
    said = []
    for name, (alone, mean) in found.items():
        if alone is not None and alone > SHAKY:
            averaged = "" if mean is None else f" ({mean:.1f} times where overlapping windows are averaged, as lift does)"
            said.append(f"{name} {alone:.1f} times{averaged}")
    if said:
        shaky = ", ".join(said)
        out.print(f"joints jitter more than in float32, which MPJPE does not show: {shaky}; --steady mends it, and is slower")
