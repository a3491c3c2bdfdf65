"""``poseedge data``: look at a data set, make one of your own captures, cut a calibration set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poseedge.cli import options
from poseedge.cli.at_hand import here, some_bundle
from poseedge.cli.console import emit_json, next_step, out, stage, table, warn
from poseedge.data.check import FolderReport, check_folder
from poseedge.data.convert import RATE, UNITS, Reading, convert, read_motion_clip
from poseedge.data.detections import convert_keypoints, project_motion
from poseedge.data.excerpt import FRAMES, TAKES, cut_calibration_set
from poseedge.errors import DataError, PoseedgeError, nearest

MOTION_FILES = (".amc", ".bvh", ".npy", ".npz")

data = typer.Typer(no_args_is_help=True, help="Look at a data set, make one of your own captures, cut a calibration set.")


@data.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="data set folder")],
    json: options.Json = False,
) -> None:
    """Say what a data folder holds, what is missing, and how to get it. Exit status 1 if it cannot be used or cannot be right.

    Example: poseedge data check dataset/
    """
    report = check_folder(folder, stage)
    if json:
        emit_json(report.to_json())
    else:
        show(report)
    if not report.usable:
        raise typer.Exit(1)


@data.command("convert")
def convert_motion(
    sources: Annotated[list[Path], typer.Argument(help=".npy or .npz with (T, 17, 3), .bvh, .amc, or folders of them")],
    output: Annotated[Path, typer.Option("--output", "-o", help="folder of the new data set")],
    name: Annotated[str | None, typer.Option(help="of the data set; default: the folder's name")] = None,
    subject: Annotated[str | None, typer.Option(help="who moves; default: the name of each file's folder")] = None,
    test: Annotated[str, typer.Option(help="test subjects, comma-separated; the others are for training")] = "",
    units: Annotated[str, typer.Option(help=f"{', '.join(UNITS)}; auto: by the size of the person")] = "auto",
    up: Annotated[str | None, typer.Option(help="axis that points up, y or z; default: z in arrays, else y")] = None,
    fps: Annotated[float | None, typer.Option(min=1, help="frames per second; default: 50 of arrays, 120 of AMC")] = None,
    rate: Annotated[float, typer.Option(min=1, help="frames per second of the data set")] = RATE,
    cameras: Annotated[Path | None, typer.Option(help="cameras file; default: four made-up cameras around")] = None,
    joints: Annotated[Path | None, typer.Option(help="TOML file with the names of BVH or ASF joints")] = None,
    json: options.Json = False,
) -> None:
    """Make a data set, with exact 2D keypoints, of recorded motion: 17 joints in Human3.6M order, BVH, or ASF and AMC.

    The action is a file's name with _ as spaces. Example: poseedge data convert anna/ ben/ --test ben -o lab
    """
    for value, known in ((units, [*UNITS, "auto"]), (up or "z", ["y", "z"])):
        if value not in known:
            raise PoseedgeError(f"{value!r} is none of {', '.join(known)}", nearest(value, known))
    paths = list(motion_files(sources))
    how = Reading(subject, units, up, fps, rate, joints)
    with stage("read motion", len(paths)) as advance:
        clips = []
        for path in paths:
            clips.append(read_motion_clip(path, how))
            advance(1)
    facts = convert(clips, output, name or output.resolve().name, cameras, options.subject_names(test), rate)
    if json:
        emit_json(facts)
        return
    out.print(f"{facts['clips']} clips, {facts['frames']} frames at {rate:g} per second, written to {output}")
    out.print(f"  train: {', '.join(facts['train']) or '-'}; test: {', '.join(facts['test']) or '-'}")
    out.print(f"  all joints in the picture: {100 * facts['in_picture']:.1f} % of frames and cameras")
    next_step("poseedge", "data", "check", output)


@data.command("keypoints")
def keypoints(
    source: Annotated[Path, typer.Argument(help="npz of detections, or a folder subject/action/camera.npy")],
    into: Annotated[Path, typer.Option(help="data set folder that holds the motion")],
    kind: Annotated[str, typer.Option(help="what to call them: hrnet, detectron, ...")] = "detected",
    layout: Annotated[
        str | None, typer.Option(help="order of joints: coco or h36m; default: as the npz says or the motion tells")
    ] = None,
    json: options.Json = False,
) -> None:
    """Add a detector's 2D keypoints to a data set; COCO joints become those of Human3.6M.

    Example: poseedge data keypoints data_2d_h36m_detectron_pt_coco.npz --into dataset/ --kind detectron
    """
    written(convert_keypoints(source, into, kind, layout), into, json)


@data.command("project")
def project_keypoints(
    folder: Annotated[Path, typer.Argument(help="data set folder with motion and cameras")],
    kind: Annotated[str, typer.Option(help="what to call the keypoints")] = "gt",
    json: options.Json = False,
) -> None:
    """Make the exact 2D keypoints of a data set's motion, as each camera sees it.

    Example: poseedge data project dataset/
    """
    written(project_motion(folder, kind), folder, json)


@data.command("calib")
def calib(
    folder: Annotated[Path, typer.Argument(help="data set folder")],
    output: Annotated[Path, typer.Option("--output", "-o", help="folder of the calibration set")],
    name: Annotated[str | None, typer.Option(help="of the calibration set; default: the folder's name")] = None,
    frames: Annotated[int, typer.Option(min=1, help="of each clip, at most")] = FRAMES,
    takes: Annotated[int, typer.Option(min=1, help="clips of each kind of motion and subject, at most")] = TAKES,
    seed: Annotated[int | None, typer.Option(help="draw clips; default: evenly spaced, from the middle")] = None,
    json: options.Json = False,
) -> None:
    """Cut a calibration set from the training subjects: every kind of motion, cameras in turn.

    Example: poseedge data calib dataset/ -o calib && poseedge export --model nanohtnet --calib calib
    """
    facts = cut_calibration_set(folder, output, name or output.resolve().name, frames, takes, seed, stage, warn)
    if json:
        emit_json(facts)
        return
    rows = [[action, str(number)] for action, number in facts["by_action"].items()]
    table(f"{facts['clips']} clips, {facts['frames']} frames, written to {output}", ["kind of motion", "clips"], rows)
    out.print("clips by camera: " + ", ".join(f"{camera} {number}" for camera, number in facts["by_camera"].items()))
    words = ["export", "--model", "nanohtnet", "--calib"] if here("torch") else ["data", "check"]
    next_step("poseedge", *words, output)


def written(facts: dict[str, Any], folder: Path, json: bool) -> None:
    """Print what became of keypoints."""
    if json:
        emit_json(facts)
        return
    out.print(f"{facts['clips']} clips from {facts['from']} joints, written to {facts['file']}", soft_wrap=True)
    next_step("poseedge", "data", "check", folder)


def motion_files(sources: list[Path]) -> list[Path]:
    """Return the motion files among ``sources`` and in folders among them."""
    found = []
    for source in sources:
        if not source.exists():
            raise DataError(f"{source}: no such file or folder")
        inside = sorted(p for p in source.rglob("*") if p.suffix.lower() in MOTION_FILES) if source.is_dir() else [source]
        if not inside or inside[0].suffix.lower() not in MOTION_FILES:
            raise DataError(f"{source}: no motion", f"expected {', '.join(MOTION_FILES)}")
        found += inside
    return found


def show(report: FolderReport) -> None:
    """Print the tables."""
    where = f"{report.name} ({report.layout}), {report.fps or 0:g} frames per second"
    rows: list[list[Any]] = [
        [
            *(row["subject"], row["split"] or "-", str(len(row["actions"])), str(row["clips"]), str(len(row["cameras"]))),
            *(str(row["frames"]), f"{row['shortest']}-{row['longest']}", f"{row['seconds']:.1f}"),
        ]
        for row in report.subjects
    ]
    if rows:
        table(where, ["subject", "split", "kinds", "clips", "cameras", "frames", "per clip", "seconds"], rows, ("split",))
    if report.actions:
        rows = [[action, str(row["clips"]), str(row["frames"])] for action, row in report.actions.items()]
        table("kinds of motion", ["kind", "clips", "frames"], rows)
    rows = [
        [
            row["kind"],
            "yes" if row["ok"] else "no",
            "-" if row["error_px"] is None else f"{row['error_px']:.2f}",
            "-" if row["in_picture"] is None else f"{100 * row['in_picture']:.1f} %",
        ]
        for row in report.keypoints
    ]
    table("2D keypoints", ["kind", "usable", "px from the motion", "all in the picture"], rows, ("usable",))
    for gap in report.missing:
        out.print(f"missing: {gap.what}", soft_wrap=True)
        out.print(f"  to do: {gap.fix}", soft_wrap=True)
    for mistake in report.wrong:
        out.print(f"wrong: {mistake.what}", soft_wrap=True)
        out.print(f"  fix: {mistake.fix}", soft_wrap=True)
    if report.usable:
        kind = next(row["kind"] for row in report.keypoints if row["ok"])
        next_step("poseedge", "eval", some_bundle(), "--data", report.folder, "--keypoints", kind)
