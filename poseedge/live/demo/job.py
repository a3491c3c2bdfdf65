"""The demo as a whole, without a command line: what is shown, where it goes, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poseedge.errors import DataError, nearest
from poseedge.lifter import Lifter
from poseedge.live.demo.against import about, clip_distances_mm, compared, open_stream, stream_distances_mm, title_of
from poseedge.live.demo.live import Show, gathered, live_meta
from poseedge.live.demo.look_ahead import cost_mm, for_live, spoken
from poseedge.live.demo.offline import Detection, Drawing
from poseedge.live.demo.pipeline import Times
from poseedge.live.detectors import Detector
from poseedge.live.drawing import PictureMaker, View
from poseedge.live.drawing.picture import SIZE
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.page import ClipPage, LivePage, listen
from poseedge.live.summary import remarks, summary, why_empty
from poseedge.live.tracks import select
from poseedge.live.trained import trained_on
from poseedge.live.types import Clip, Lifted
from poseedge.live.video import Source
from poseedge.live.video.output import SUFFIXES as PICTURES
from poseedge.live.video.output import Output, open_output
from poseedge.live.video.window import Window, check_window
from poseedge.live.writers import SUFFIXES as POSES
from poseedge.live.writers import write
from poseedge.live.writers.registry import check_path
from poseedge.progress import Stage

DemoReport = dict[str, Any]
Stop = Callable[[], None]


@dataclass(frozen=True)
class DemoOutputs:
    """Where to write: files of poses, and of pictures, and the page; without any, pictures go to a window."""

    poses: tuple[Path, ...]
    pictures: tuple[Path, ...]
    port: int | None = None  # where the page is served, if it is

    @classmethod
    def of(cls, paths: list[Path], port: int | None = None) -> DemoOutputs:
        """Sort paths by what they hold; raises ``DataError`` for a kind that is not known."""
        for path in paths:
            if path.suffix.lower() not in (*PICTURES, *POSES):
                kind = f"unknown kind of output {path.suffix!r}" if path.suffix else "no suffix says the kind of output"
                raise DataError(f"{path}: {kind}", nearest(path.suffix.lower(), [*PICTURES, *POSES]))
            if path.suffix.lower() in POSES:
                check_path(path)
        poses = tuple(path for path in paths if path.suffix.lower() in POSES)
        return cls(poses, tuple(path for path in paths if path.suffix.lower() in PICTURES), port)

    def check(self) -> None:
        """Raise ``PoseedgeError`` for what cannot be opened, before minutes are spent on finding people."""
        for path in self.pictures:
            if path.is_dir():
                raise DataError(f"{path}: is a folder", f"name a file in it, such as {path / 'out.mp4'}")
        if self.drawn and not self.pictures:
            check_window()
        if self.port is not None:
            listen(self.port).close()

    @property
    def drawn(self) -> bool:
        """Whether pictures are wanted at all."""
        return bool(self.pictures) or not (self.poses or self.port is not None)

    @contextmanager
    def opened(self, maker: PictureMaker, source: Source, stop: Stop) -> Iterator[list[Output]]:
        """Open what takes pictures; ``stop`` is called when the window is closed."""
        fps = source.fps or 1.0
        with ExitStack() as stack:
            wanted: list[Output] = [open_output(path, maker.size, fps, source.count != 1) for path in self.pictures]
            if not self.pictures:
                wanted = [Window(stop, paced=not source.live)]
            yield [stack.enter_context(output) for output in wanted]


@dataclass(frozen=True)
class DemoJob:
    """What is the same for every source."""

    lifter: Lifter
    options: LiftOptions
    outputs: DemoOutputs
    view: View
    stage: Stage  # listens to progress
    interruptible: Callable[[Stop], AbstractContextManager[None]]  # lets a block be stopped from outside
    say: Callable[[str], None]  # is told where the page is, and how long poses wait
    against: Lifter | None = None  # lifts the same people, to be shown over the first

    def maker(self, source: Source) -> PictureMaker:
        """Return what draws the pictures of ``source``."""
        return PictureMaker(source.size, self.view, title_of(about(self.lifter)), against=self.other_title or "")

    @property
    def other_title(self) -> str | None:
        """What the other network is called, if there is one."""
        return None if self.against is None else title_of(about(self.against))


def detect(job: DemoJob, source: Source, detector: Detector, seconds: float | None) -> tuple[Clip, DemoReport, DataError | None]:
    """Find the keypoints of all frames; return them, what to tell, and why the source broke off, if it did."""
    detection = Detection(source, detector, seconds)
    with job.interruptible(detection.stop), job.stage("finding people", source.count) as advance:
        clip = detection.run(advance)
    notes = []
    if source.count and len(clip.frames) < source.count and not detection.stopped:
        notes.append(f"{len(clip.frames)} of the {source.count} frames that {source.name} speaks of were read")
    return clip, {"detector": detector.name, "ms": milliseconds(detection.times), "notes": notes}, detection.broken_off


def lift_and_draw(
    job: DemoJob,
    clip: Clip,
    reopen: Callable[[], Source],
    person: Literal["largest"] | int | None,
    before: DemoReport | None = None,
) -> DemoReport:
    """Lift a clip, write its poses, draw them over its frames; return what to tell, with what was told ``before``.

    Raises ``DataError`` if nobody has a pose.
    """
    before = before or {"ms": {}, "notes": []}
    clip = select(clip, person)
    begun = time.perf_counter()
    with job.stage("lifting", len(clip.frames)) as advance:
        lifted = lift_clip(job.lifter, clip, job.options, trained_on(job.lifter), advance)
    ms = before["ms"] | {"lift": 1000 * (time.perf_counter() - begun) / max(len(clip.frames), 1)}
    if not lifted.seen.any():
        raise DataError(f"{clip.name}: no pose in {len(lifted.frames)} frames, {why_empty(lifted)}", "is the whole body seen?")
    other = None if job.against is None else lift_clip(job.against, clip, job.options, trained_on(job.against))
    written = [write(lifted, path) for path in job.outputs.poses]
    paths, notes = [str(path) for each in written for path in each.paths], [note for each in written for note in each.notes]
    if job.outputs.drawn:
        frames = reopen()
        maker = job.maker(frames)
        drawing = Drawing(frames, lifted, maker, other)
        with job.outputs.opened(maker, frames, drawing.stop) as outputs, job.interruptible(drawing.stop):
            with job.stage("drawing", len(clip.frames)) as advance:
                drawing.run(outputs, advance)
            frames.close()
        paths += [output.written for output in outputs if output.written]
        ms |= milliseconds(drawing.times)
    play(job, lifted, clip.size or SIZE, other)
    found = summary(lifted)
    if job.against is not None and other is not None:
        found |= compared(job.against, clip_distances_mm(lifted, other))
    return {**found, **before, "ms": ms, "written": paths, "notes": [*before["notes"], *remarks(found), *notes]}


def show_live(job: DemoJob, source: Source, detector: Detector, seconds: float | None) -> tuple[DemoReport, DataError | None]:
    """Show a live source until it ends or is stopped; return what to tell, and why the source broke off, if it did."""
    maker, broken = job.maker(source) if job.outputs.drawn else None, None
    options = for_live(job.options, job.lifter.spec)
    stream = open_stream(job.lifter, job.against, source.size, source.fps, detector.layout, job.options)
    job.say(spoken(job.lifter, options, stream.rate))
    meta = live_meta(job.lifter, stream, source.name, detector.layout, source.fps, source.size)
    outputs: list[Output] = []
    with ExitStack() as stack:
        page = stack.enter_context(opened_page(job, source, meta))
        show = Show(source, detector, stream, maker, seconds, page)
        if maker is not None:
            outputs = stack.enter_context(job.outputs.opened(maker, source, show.stop))
        stack.enter_context(job.interruptible(show.stop))
        try:
            with job.stage("showing", None) as advance:
                show.run(outputs, advance)
        except DataError as error:
            broken = error
        if not show.frames:
            raise broken or DataError(f"{source.name}: no frame came", "is the camera running?")
    lifted = gathered(show.frames, meta)
    paths = [str(path) for out in job.outputs.poses for path in write(lifted, out).paths]
    delays = 1000 * np.array(show.delays_s)
    report = {
        **lifted.meta,
        "detector": detector.name,
        "frames": len(lifted.frames),
        "dropped": show.dropped,
        "look_ahead_costs_mm": cost_mm(job.lifter, stream.look_ahead) if options.overlap else None,
        "fps_shown": (len(lifted.frames) - 1) / max(float(np.ptp(lifted.times_s)), 1e-9),
        "delay_ms": {"p50": float(np.percentile(delays, 50)), "p99": float(np.percentile(delays, 99))},
        "people": [{"id": int(number), "frames": int(seen.sum())} for number, seen in zip(lifted.ids, lifted.seen, strict=True)],
        "ms": milliseconds(show.times),
        "written": paths + [output.written for output in outputs if output.written],
        "notes": [],
    }
    if job.against is not None:
        report |= compared(job.against, stream_distances_mm(show.frames))
    return report, broken


@contextmanager
def opened_page(job: DemoJob, source: Source, meta: dict[str, Any]) -> Iterator[LivePage | None]:
    """Serve the page of a live source, if it is wanted."""
    if job.outputs.port is None:
        yield None
        return
    with LivePage(source.size, meta, job.outputs.port, job.other_title) as page:
        job.say(f"open in a browser: {page.address}")
        yield page


def play(job: DemoJob, lifted: Lifted, size: tuple[int, int], against: Lifted | None) -> None:
    """Show a clip on the page until it is interrupted, if the page is wanted."""
    if job.outputs.port is None:
        return
    clip = ClipPage(lifted, size, job.outputs.port, against)
    with clip.page, job.interruptible(clip.stop):
        job.say(f"open in a browser: {clip.page.address}")
        clip.run()


def milliseconds(times: dict[str, Times]) -> dict[str, float]:
    """Return the mean time of each step."""
    return {name: round(each.mean_ms, 2) for name, each in times.items()}
