"""``poseedge demo``: from a video, a camera or pictures to a moving skeleton."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poseedge.cli import live_options as choose
from poseedge.cli.console import emit_json, err, next_step, out, stage
from poseedge.cli.interrupts import Interrupts
from poseedge.cli.verbs.lift import show as show_people
from poseedge.errors import DataError, PoseedgeError

if TYPE_CHECKING:
    from poseedge.live.demo.job import DemoJob
    from poseedge.live.types import Clip

UNKNOWN_END = "a live source is not known to its end; lift a recording of it"
OWN_SIZE = "the pictures say their own size; --size asks a camera for one"
KEYPOINT_SUFFIXES = (".csv", ".json", ".jsonl", ".npy", ".npz", ".txt")


def demo(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="video, picture, folder of pictures, camera (0), address (rtsp://...), or csi")],
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help=".mp4, .webm, .gif, .png, .jpg, or as lift writes them (repeat); else a window"),
    ] = None,
    web: choose.Web = False,
    port: choose.Port = None,
    video: Annotated[Path | None, typer.Option(help="SOURCE is a file of keypoints; draw over this video")] = None,
    detector: Annotated[
        Path | None, typer.Option(help="RTMPose, RTMO, YOLO-pose, HRNet or ViTPose as ONNX; else MoveNet")
    ] = None,
    people: Annotated[int | None, typer.Option(min=1, help="how many to find; default 1, all with YOLO-pose and RTMO")] = None,
    turn: Annotated[bool, typer.Option("--turn", help="let the camera go round the skeleton")] = False,
    azimuth: Annotated[float, typer.Option(metavar="DEG", help="where it stands: 0 as the source's camera, 90 to its left")] = 35,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="stop after so long")] = None,
    backend: choose.Backend = None,
    artefact: choose.Artefact = None,
    against: choose.Against = None,
    precision: choose.Precision = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="asked of a camera; with --video, what keypoints refer to")
    ] = None,
    fps: Annotated[float | None, typer.Option(min=0.1, help="asked of a camera; else in place of what the source says")] = None,
    layout: choose.LayoutName = None,
    format: Annotated[str | None, typer.Option(help="which program wrote the keypoints; see lift")] = None,
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
    threads: choose.Threads = 1,
    json: choose.Json = False,
) -> None:
    """Show the people of a video, a camera or a picture in 3D: find their keypoints, lift them, draw both.

    Example: poseedge demo video.mp4 -o out.mp4 -o poses.npz
    """
    from poseedge.live.demo.job import DemoJob, DemoOutputs, detect, lift_and_draw, show_live
    from poseedge.live.detectors import open_detector
    from poseedge.live.drawing import View
    from poseedge.live.video import open_source

    outputs, options = DemoOutputs.of(output or [], choose.page_port(web, port)), choose.options(context.params)
    wanted, whom = choose.parsed_size(size), choose.parsed_person(person)

    def job() -> DemoJob:
        lifter = choose.open_network(artefact, precision, threads, backend)
        other = None if against is None else choose.open_network(against, None, threads, backend)
        steps = partial(stage, each="frames")
        return DemoJob(lifter, options, outputs, View(azimuth, turn), steps, interruptible, choose.say, other)

    if video is not None:
        idle = {"--detector": detector, "--people": people, "--seconds": seconds}
        refuse_options(idle, "with --video, SOURCE holds the keypoints")
        outputs.check()
        clip = keypoints_over(source, video, format, layout, wanted, fps)
        show(lift_and_draw(job(), clip, lambda: open_source(str(video), fps=fps), whom), json)
        return
    refuse_keypoints(source, layout, format)
    with closing(open_source(source, wanted, fps)) as pictures:
        if pictures.live:
            refuse_options({"--person": person, "--height": height}, UNKNOWN_END)
        else:
            refuse_options({"--size": size}, OWN_SIZE)
        outputs.check()
        found = open_detector(detector, people, threads, backend, thorough=pictures.fps is None)
        if pictures.live:
            report, broken = show_live(job(), pictures, found, seconds)
        else:
            begun = job()
            clip, before, broken = detect(begun, pictures, found, seconds)
            report = lift_and_draw(begun, clip, lambda: open_source(source, fps=fps), whom, before)
    show(report, json)
    if broken:
        raise broken
    if not pictures.live and not json and not outputs.poses and not web:
        given = {"--artefact": artefact, "--people": people}
        words = [str(word) for name, value in given.items() if value is not None for word in (name, value)]
        next_step("poseedge", "demo", source, *words, "-o", "poses.bvh")


def refuse_options(options: dict[str, Any], reason: str) -> None:
    """Raise ``PoseedgeError`` if one of ``options`` was given though it can do nothing."""
    for name, value in options.items():
        if value is not None:
            raise PoseedgeError(f"{name} cannot apply here", reason)


def refuse_keypoints(source: str, layout: str | None, format: str | None) -> None:
    """Raise ``PoseedgeError`` if keypoints are given, or how to read them, where pictures are expected."""
    refuse_options({"--layout": layout, "--format": format}, "they say how to read keypoints: see --video")
    if Path(source).suffix.lower() in KEYPOINT_SUFFIXES:
        raise DataError(f"{source}: looks like keypoints, not pictures", "draw them over a video: --video FILE; or lift them")


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C in the block call ``stop``, so that what was made is kept; the next raises."""
    before = signal.getsignal(signal.SIGINT)
    handler = before if isinstance(before, Interrupts) else Interrupts.raising()
    usual = handler.act

    def stop_once() -> None:
        handler.act = usual
        stop()

    handler.act = stop_once
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        if handler.act is stop_once:
            handler.act = usual
        signal.signal(signal.SIGINT, before)


def keypoints_over(
    source: str, video: Path, format: str | None, layout: str | None, size: tuple[int, int] | None, fps: float | None
) -> Clip:
    """Read keypoints that belong to ``video``, whose size and frame rate hold where they are not given."""
    from poseedge.live.formats import read_clip
    from poseedge.live.video import open_source

    frames = open_source(str(video), fps=fps)
    frames.close()
    return read_clip(Path(source), format, layout, size or frames.size, fps or frames.fps)


def show(report: dict[str, Any], json: bool) -> None:
    """Print the report."""
    if json:
        emit_json(report)
        return
    if "delay_ms" in report:
        delay = report["delay_ms"]
        out.print(f"{report['frames']} frames at {report['fps_shown']:.1f} per second, {report['dropped']} dropped")
        out.print(f"delay from capture to pose: {delay['p50']:.0f} ms, 99 % under {delay['p99']:.0f} ms")
    else:
        show_people(report)
    if (other := report.get("against")) and (apart := other["distance_mm"]):
        said = f"{other['model']} {other['precision']} is {apart['mean']:.2f} mm away on the mean over joints and frames"
        out.print(f"{said}, 99 % of poses under {apart['p99']:.2f} mm")
    out.print("mean time a frame: " + ", ".join(f"{name} {value:.1f} ms" for name, value in report["ms"].items()))
    for note in report["notes"]:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    for name in report["written"]:
        out.print(f"written: {name}", markup=False, soft_wrap=True)
