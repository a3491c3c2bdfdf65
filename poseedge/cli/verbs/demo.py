"""``poseedge demo``: from a video, a camera or pictures to a moving skeleton."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poseedge.backends.registry import names_for
from poseedge.cli import live_options as choose
from poseedge.cli.console import emit_json, err, next_step, out, stage
from poseedge.cli.verbs.lift import show as show_people
from poseedge.errors import DataError, PoseedgeError

if TYPE_CHECKING:
    from poseedge.lifter import Lifter
    from poseedge.live.demo.pipeline import Times
    from poseedge.live.drawing import PictureMaker, View
    from poseedge.live.options import Options
    from poseedge.live.types import Clip, Lifted
    from poseedge.live.video.output import Output
    from poseedge.live.video.source import Source

LIVE_LOOK_AHEAD = 10  # frames of the network that a live pose waits for, a fifth of a second; fewer where it can use fewer

KEYPOINT_SUFFIXES = (".csv", ".json", ".jsonl", ".npy", ".npz", ".txt")


@dataclass(frozen=True)
class _Outputs:
    """Where to write: files of poses, and of pictures; without any, pictures go to a window."""

    poses: list[Path]
    pictures: list[Path]

    def opened(self, maker: PictureMaker, fps: float, numbered: bool, stop: Callable[[], None], live: bool) -> list[Output]:
        from poseedge.live.video.output import open_output
        from poseedge.live.video.window import Window

        if not self.poses and not self.pictures:
            return [Window(stop, paced=not live)]
        return [open_output(path, maker.size, fps, numbered) for path in self.pictures]


def demo(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="video, picture, folder of pictures, camera (0), address (rtsp://...), or csi")],
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help=".mp4, .webm, .gif, .png, .jpg, or as lift writes them (repeat); else a window"),
    ] = None,
    video: Annotated[Path | None, typer.Option(help="SOURCE is a file of keypoints; draw over this video")] = None,
    detector: Annotated[
        Path | None, typer.Option(help="RTMPose, RTMO, YOLO-pose, HRNet or ViTPose as ONNX; else MoveNet")
    ] = None,
    people: Annotated[int | None, typer.Option(min=1, help="how many to find; default 1, all with YOLO-pose and RTMO")] = None,
    turn: Annotated[bool, typer.Option("--turn", help="let the camera go round the skeleton")] = False,
    azimuth: Annotated[float, typer.Option(metavar="DEG", help="where it stands: 0 as the source's camera, 90 to its left")] = 35,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="stop after so long")] = None,
    backend: Annotated[str | None, typer.Option(help=f"what runs ONNX files: {', '.join(names_for('.onnx'))}")] = None,
    artefact: choose.Artefact = None,
    precision: choose.Precision = None,
    size: choose.Size = None,
    fps: choose.Fps = None,
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
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show the people of a video, a camera or a picture in 3D: find their keypoints, lift them, draw both.

    Example: poseedge demo video.mp4 -o out.mp4 -o poses.npz
    """
    from poseedge.live.detectors import open_detector
    from poseedge.live.drawing import View
    from poseedge.live.overlap import schedule
    from poseedge.live.video import open_source

    outputs = sorted_outputs(output or [])
    options = choose.options(context.params)
    wanted = choose.parsed_size(size)
    at = View(azimuth, turn)
    if video is not None:
        refuse({"--detector": detector, "--people": people, "--seconds": seconds}, "with --video, SOURCE holds the keypoints")
        lifter = choose.opened(artefact, precision, threads, backend)
        clip = keypoints_over(source, video, format, layout, wanted, fps)
        report = lift_and_draw(clip, lambda: open_source(str(video), fps=fps), lifter, options, outputs, at, person)
        tell(report, json)
        return
    refuse({"--layout": layout, "--format": format}, "they say how to read keypoints: see --video")
    if Path(source).suffix.lower() in KEYPOINT_SUFFIXES:
        raise DataError(
            f"{source}: looks like keypoints, not pictures", "draw them over a video: --video FILE; or: poseedge lift"
        )
    pictures = open_source(source, wanted, fps)
    try:
        if pictures.live:
            refuse({"--person": person, "--height": height}, "a live source is not known to its end; lift a recording of it")
        elif wanted:
            refuse({"--size": size}, "the pictures say their own size; --size asks a camera for one")
        lifter = choose.opened(artefact, precision, threads, backend)
        found = open_detector(detector, people, threads, backend, thorough=pictures.fps is None)
        if pictures.live:
            if look_ahead is None:
                most = schedule(lifter.spec, overlap, every).look_ahead
                options = replace(options, look_ahead=min(LIVE_LOOK_AHEAD, most))
            report, broken = run_live(pictures, found, lifter, options, outputs, at, seconds)
        else:
            clip, report, broken = detected(pictures, found, seconds)
            again = lift_and_draw(clip, lambda: open_source(source, fps=fps), lifter, options, outputs, at, person)
            report = {
                **again,
                "detector": found.name,
                "ms": report["ms"] | again["ms"],
                "notes": report["notes"] + again["notes"],
            }
    finally:
        pictures.close()
    tell(report, json)
    if broken:
        raise broken
    if pictures.live or json:
        return
    if not outputs.poses:
        words = [] if artefact is None else ["--artefact", str(artefact)]
        next_step(shlex.join(["poseedge", "demo", source, *words, "-o", "poses.bvh"]))


def sorted_outputs(paths: list[Path]) -> _Outputs:
    """Sort outputs by what they hold; raises ``DataError`` for a kind that is not known, before any work."""
    from poseedge.errors import nearest
    from poseedge.live.video.output import SUFFIXES as PICTURES
    from poseedge.live.writers import SUFFIXES as POSES
    from poseedge.live.writers.registry import check_path

    for path in paths:
        if path.suffix.lower() not in (*PICTURES, *POSES):
            kind = f"unknown kind of output {path.suffix!r}" if path.suffix else "no suffix says the kind of output"
            raise DataError(f"{path}: {kind}", nearest(path.suffix.lower(), [*PICTURES, *POSES]))
    poses = [path for path in paths if path.suffix.lower() in POSES]
    for path in poses:
        check_path(path)
    return _Outputs(poses, [path for path in paths if path.suffix.lower() in PICTURES])


def refuse(options: dict[str, Any], reason: str) -> None:
    """Raise ``PoseedgeError`` if one of ``options`` was given though it can do nothing."""
    for name, value in options.items():
        if value is not None:
            raise PoseedgeError(f"{name} cannot apply here", reason)


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C call ``stop``, so that what was made is kept; the second ends the program."""

    def interrupted(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        stop()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
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


def detected(source: Source, detector: Any, seconds: float | None) -> tuple[Clip, dict[str, Any], DataError | None]:
    """Find the keypoints of all frames; return them, a report, and why the source broke off, if it did."""
    from poseedge.live.demo.offline import Detection

    detection = Detection(source, detector, seconds)
    with interruptible(detection.stop), stage("finding people", source.count, "frames") as advance:
        clip = detection.run(advance)
    notes = []
    if source.count and len(clip.frames) < source.count and not detection.broken_off:
        notes.append(f"{len(clip.frames)} of the {source.count} frames that {source.name} speaks of were read")
    return clip, {"ms": milliseconds(detection.times), "notes": notes}, detection.broken_off


def lift_and_draw(
    clip: Clip,
    reopen: Callable[[], Source],
    lifter: Lifter,
    options: Options,
    outputs: _Outputs,
    view: View,
    person: str | None,
) -> dict[str, Any]:
    """Lift a clip, write its poses, draw them over its frames; return what to tell."""
    from poseedge.live.demo.offline import Drawing
    from poseedge.live.drawing import PictureMaker
    from poseedge.live.lift import lift_clip
    from poseedge.live.summary import remarks, summary, why_empty
    from poseedge.live.tracks import select
    from poseedge.live.trained import trained_on
    from poseedge.live.writers import write

    clip = select(clip, choose.parsed_person(person))
    begun = time.perf_counter()
    with stage("lifting", len(clip.frames), "frames") as advance:
        lifted = lift_clip(lifter, clip, options, trained_on(lifter), advance)
    ms = {"lift": 1000 * (time.perf_counter() - begun) / max(len(clip.frames), 1)}
    if not lifted.seen.any():
        raise DataError(
            f"{clip.name}: no pose in {len(lifted.frames)} frames, {why_empty(lifted)}", "is the whole body in sight?"
        )
    written = [write(lifted, path) for path in outputs.poses]
    paths, notes = [str(path) for each in written for path in each.paths], [note for each in written for note in each.notes]
    if outputs.pictures or not outputs.poses:
        frames = reopen()
        maker = PictureMaker(frames.size, view, title(lifter))
        drawing = Drawing(frames, lifted, maker)
        with ExitStack() as stack:
            opened = outputs.opened(maker, frames.fps or 1.0, frames.count != 1, drawing.stop, live=False)
            entered = [stack.enter_context(each) for each in opened]
            stack.enter_context(interruptible(drawing.stop))
            drawing.run(entered, stack.enter_context(stage("drawing", len(clip.frames), "frames")))
        frames.close()
        paths += [str(each.path) for each in opened if each.path in outputs.pictures or each.path.suffix == ".webm"]
        ms |= milliseconds(drawing.times)
    found = summary(lifted)
    return {**found, "ms": ms, "written": paths, "notes": [*remarks(found), *notes]}


def run_live(
    source: Source, detector: Any, lifter: Lifter, options: Options, outputs: _Outputs, view: View, seconds: float | None
) -> tuple[dict[str, Any], DataError | None]:
    """Show a live source until it ends or is stopped; return what to tell, and why the source broke off, if it did."""
    from poseedge.live.demo.live import Show, gathered
    from poseedge.live.drawing import PictureMaker
    from poseedge.live.stream import Stream
    from poseedge.live.trained import trained_on
    from poseedge.live.writers import write

    maker = PictureMaker(source.size, view, title(lifter))
    stream = Stream(lifter, source.size, source.fps, detector.layout, trained_on(lifter), **asdict(options))
    show = Show(source, detector, stream, maker, seconds)
    broken: DataError | None = None
    begun = time.perf_counter()
    with ExitStack() as stack:
        opened = outputs.opened(maker, source.fps or 30.0, True, show.stop, live=True)
        entered = [stack.enter_context(each) for each in opened]
        stack.enter_context(interruptible(show.stop))
        try:
            show.run(entered, stack.enter_context(stage("showing", None, "frames")))
        except DataError as error:
            if not show.frames:
                raise
            broken = error
    took = time.perf_counter() - begun
    meta = {
        "source": source.name,
        "layout": detector.layout,
        "artefact": str(lifter.path),
        "model": lifter.spec.model,
        "precision": lifter.spec.precision,
        "backend": lifter.backend,
        "look_ahead": stream.look_ahead,
        "fps": source.fps,
        "size": list(source.size),
    }
    lifted = gathered(show.frames, meta)
    written = [write(lifted, path) for path in outputs.poses]
    paths = [str(path) for each in written for path in each.paths] + [str(each.path) for each in opened if each.path.suffix]
    return live_report(show, lifted, took, paths, detector.name), broken


def live_report(show: Any, lifted: Lifted, took: float, paths: list[str], detector: str) -> dict[str, Any]:
    """Return counts, rates and delays of a live run."""
    import numpy as np

    delays = 1000 * np.array(show.delays_s)
    return {
        **lifted.meta,
        "detector": detector,
        "frames": len(lifted.frames),
        "dropped": show.dropped,
        "fps_shown": len(lifted.frames) / took,
        "delay_ms": {"p50": float(np.percentile(delays, 50)), "p99": float(np.percentile(delays, 99))},
        "people": [{"id": int(number), "frames": int(seen.sum())} for number, seen in zip(lifted.ids, lifted.seen, strict=True)],
        "ms": milliseconds(show.times),
        "written": paths,
        "notes": [],
    }


def milliseconds(times: dict[str, Times]) -> dict[str, float]:
    """Return the mean time of each step."""
    return {name: round(each.mean_ms, 2) for name, each in times.items()}


def title(lifter: Lifter) -> str:
    """Return what stands over the 3D half."""
    return f"{lifter.spec.model} {lifter.spec.precision}"


def tell(report: dict[str, Any], json: bool) -> None:
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
    out.print("mean time a frame: " + ", ".join(f"{name} {value:.1f} ms" for name, value in report["ms"].items()))
    for note in report["notes"]:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    for name in report["written"]:
        out.print(f"written: {name}", markup=False, soft_wrap=True)
