"""``poseedge lift``: keypoints in, poses out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from poseedge.cli import live_options as choose
from poseedge.cli.console import emit_json, err, next_step, out, stage, table
from poseedge.errors import DataError, PoseedgeError
from poseedge.live.formats import FORMATS


def lift(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="keypoint file or folder of a detector")],
    output: Annotated[list[Path], typer.Option("--output", "-o", help="file to write, its kind by its suffix (repeat)")],
    artefact: choose.Artefact = None,
    precision: choose.Precision = None,
    size: choose.Size = None,
    fps: choose.Fps = None,
    layout: choose.LayoutName = None,
    format: Annotated[str | None, typer.Option(help=f"which program wrote the source: {', '.join(FORMATS)}")] = None,
    person: Annotated[str | None, typer.Option(metavar="largest|ID", help="lift one person alone")] = None,
    view: choose.View = "person",
    trunk: choose.Trunk = None,
    overlap: choose.Overlap = True,
    every: choose.Every = None,
    flip: choose.Flip = False,
    focal: choose.Focal = None,
    camera_pitch: choose.CameraPitch = None,
    camera_roll: choose.CameraRoll = None,
    height: choose.Height = None,
    smooth: choose.Smooth = False,
    look_ahead: choose.LookAhead = None,
    floor: Annotated[bool, typer.Option("--floor", help="stand people upright on a floor; y is up then")] = False,
    world: Annotated[
        Literal["camera", "demo"], typer.Option(help="axes of the poses: the camera's, or turned as the papers' demos do")
    ] = "camera",
    trajectory: Annotated[
        bool, typer.Option("--trajectory", help="estimate where people are from how large they look; needs --focal")
    ] = False,
    exact: Annotated[bool, typer.Option("--exact", help=".glb with the joints as lifted: limbs change their length")] = False,
    threads: choose.Threads = 1,
    json: choose.Json = False,
) -> None:
    """Lift the people of a keypoint file to 3D: gaps bridged, swaps undone, resampled to the network's frame rate, averaged.

    Example: poseedge lift alphapose-results.json --size 1920x1080 --fps 30 -o poses.npz
    """
    from poseedge.live.formats import read_clip
    from poseedge.live.lift import lift_clip
    from poseedge.live.summary import remarks, summary, why_empty
    from poseedge.live.tracks import select
    from poseedge.live.trained import trained_on
    from poseedge.live.trajectory import with_trajectory
    from poseedge.live.world import in_demo, on_floor
    from poseedge.live.writers import write
    from poseedge.live.writers.registry import check_path

    options = choose.options(context.params)
    check_world(floor, world, trajectory, focal)
    for path in output:
        check_path(path)
    clip = read_clip(source, format, layout, choose.parsed_size(size), fps)
    clip = select(clip, choose.parsed_person(person))
    lifter = choose.open_network(artefact, precision, threads)
    with stage("lifting", len(clip.frames)) as advance:
        lifted = lift_clip(lifter, clip, options, trained_on(lifter), advance)
    if not lifted.seen.any():
        raise DataError(
            f"{source}: no pose in {len(lifted.frames)} frames, {why_empty(lifted)}", "is the whole body in the picture?"
        )
    if trajectory and focal is not None and clip.size is not None:
        lifted = with_trajectory(lifted, focal, (clip.size[0] / 2, clip.size[1] / 2))
    lifted = on_floor(lifted, camera_pitch, camera_roll) if floor else in_demo(lifted) if world == "demo" else lifted
    written = [write(lifted, path, exact=exact) for path in output]
    found = summary(lifted)
    paths = [str(path) for each in written for path in each.paths]
    notes = [*remarks(found), *(note for each in written for note in each.notes)]
    if json:
        emit_json({**found, "written": paths, "notes": notes})
        return
    show(found)
    show_files(notes, paths)
    if all(path.suffix == ".npz" for path in output):
        given = {"--size": size, "--fps": fps, "--layout": layout, "--format": format, "--person": person, "--artefact": artefact}
        words = [str(word) for name, value in given.items() if value is not None for word in (name, value)]
        next_step("poseedge", "lift", source, *words, "-o", output[0].with_suffix(".bvh"))


def check_world(floor: bool, world: str, trajectory: bool, focal: float | None) -> None:
    """Raise ``PoseedgeError`` if options say two things of where people stand, or not enough."""
    if floor and world == "demo":
        raise PoseedgeError("--floor and --world demo are two answers to one question", "leave one of them out")
    if trajectory and focal is None:
        raise PoseedgeError("--trajectory needs the camera's focal length", "give it in pixels: --focal 1400")


def show(found: dict[str, Any]) -> None:
    """Print a row per person."""
    rows = [
        [
            str(person["id"]),
            str(person["frames"]),
            f"{person['first']} to {person['last']}" if person["frames"] else "-",
            str(person["filled"]),
            str(person["swapped"]),
            str(person["jumped"]),
        ]
        for person in found["people"]
    ]
    title = f"{found['source']}: {found['frames']} frames, {found['model']} {found['precision']}"
    table(title, ["person", "poses", "frames", "joints filled", "swaps undone", "jumps"], rows, ("frames",))


def show_files(notes: list[str], paths: list[str]) -> None:
    """Print what a reader should know, and the files."""
    for note in notes:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    for name in paths:
        out.print(f"written: {name}", markup=False, soft_wrap=True)
