"""How fast ``poseedge demo`` is: a video with and without pictures, and a camera, whose delay counts.

Run from the repository: ``python -m benchmarks demo_speed BUNDLE one.mp4 two.mp4``, with a video of one person and
one of two. Each case runs in a process of its own, which keeps to its cores. Needs an idle machine.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.options import Page, Results
from benchmarks.record import DOCS, RESULTS, grid, machine_slug, record, versions
from poseedge.backends.registry import load
from poseedge.bench.latency import pinned
from poseedge.bench.machine import OtherWork, disturbed, machine_facts
from poseedge.live.demo.job import DemoJob, DemoOutputs, detect, lift_and_draw, show_live
from poseedge.live.detectors import open_detector
from poseedge.live.detectors.cut import resized
from poseedge.live.detectors.person import Picture
from poseedge.live.drawing import View
from poseedge.live.options import LiftOptions
from poseedge.live.video import open_source
from poseedge.live.video.output import open_output
from poseedge.live.video.source import Frame
from poseedge.progress import silent

HEIGHT_OF_720P, FPS = 720, 30.0


@dataclass(frozen=True)
class Case:
    """What is timed."""

    people: int
    precision: str
    cores: int
    drawn: bool  # with pictures, encoded as H.264
    live: bool = False
    look_ahead: int | None = None


CASES = (
    *(Case(1, precision, cores, drawn) for precision in ("int8", "fp32") for cores in (2, 1) for drawn in (False, True)),
    *(Case(2, "int8", cores, drawn) for cores in (2, 1) for drawn in (False, True)),
    *(Case(1, precision, 2, True, live=True) for precision in ("int8", "fp32")),
    Case(1, "int8", 2, True, live=True, look_ahead=0),
    Case(2, "int8", 2, True, live=True),
    Case(1, "int8", 1, True, live=True),
)


class PlayedCamera:
    """A video as a camera gives it: a frame at its time, whoever is ready for it or not."""

    def __init__(self, frames: list[Picture]) -> None:
        self._frames = frames
        self.name, self.live = "played camera", True
        self.count: int | None = None
        self.fps: float | None = FPS
        height, width, _ = frames[0].shape
        self.size: tuple[int, int] = (width, height)

    def __iter__(self) -> Iterator[Frame]:
        begun = time.monotonic()
        for number, rgb in enumerate(self._frames):
            time.sleep(max(begun + number / FPS - time.monotonic(), 0))
            yield Frame(rgb, number, number / FPS, time.monotonic())

    def close(self) -> None:
        """Nothing is held."""


def measure(
    bundle: Annotated[Path, typer.Argument(help="bundle folder with fp32 and int8")],
    one: Annotated[Path, typer.Argument(help="video of one person")],
    two: Annotated[Path | None, typer.Argument(help="video of two people; default: leave those cases out")] = None,
    frames: Annotated[int, typer.Option(min=2, help="of each video, played to and fro until there are as many")] = 300,
    rounds: Annotated[int, typer.Option(min=1, help="of all cases; each is shown as its best round")] = 2,
    results: Results = RESULTS,
    page: Page = DOCS / "demo.md",
) -> None:
    """Time all cases and record the table."""
    machine = machine_facts()
    best: dict[Case, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        given = [(people, video) for people, video in ((1, one), (2, two)) if video is not None]
        videos = {people: longer(video, Path(folder) / f"{people}.mp4", frames) for people, video in given}
        for case in [case for case in CASES if case.people in videos] * rounds:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                found = process.submit(timed, case, bundle, videos[case.people], Path(folder) / "out.mp4").result()
            best[case] = min(found, best.get(case, found), key=slowness)
            print(case, found, flush=True)
    rows = [{**asdict(case), **found} for case, found in best.items()]
    facts = {"model": bundle.name, "frames": frames, "rounds": rounds}
    report = {"machine": machine, "note": doubt(rows), **facts, "rows": rows}
    record(results / f"demo_{machine_slug(machine)}", report, markdown(report), page, "demo speed")


def longer(video: Path, to: Path, frames: int) -> Path:
    """Write ``video`` in 720p, H.264, played to and fro."""
    source = open_source(str(video))
    scale = HEIGHT_OF_720P / min(source.size)
    size = tuple(2 * round(side * scale / 2) for side in source.size)
    pictures = [resized(frame.rgb, (size[0], size[1])) for frame in source]
    there_and_back = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with open_output(to, (size[0], size[1]), FPS) as output:
        for number in range(frames):
            output.write(pictures[there_and_back[number % len(there_and_back)]], number / FPS)
    return to


def timed(case: Case, bundle: Path, video: Path, out: Path) -> dict[str, Any]:
    """Run one case; return frames per second by the clock, milliseconds a frame of each stage, and others' share of its cores."""
    with pinned(case.cores) as cores:
        outputs = DemoOutputs.of([out.with_suffix(".npz"), *([out] if case.drawn else [])])
        lifter = load(bundle, case.precision)
        job = DemoJob(lifter, LiftOptions(look_ahead=case.look_ahead), outputs, View(), silent, unstoppable, say)
        detector = open_detector(people=case.people)
        source = open_source(str(video))
        detector.detect(next(iter(open_source(str(video)))).rgb)  # warm
        watch = OtherWork(cores)
        if case.live:
            report, _ = show_live(job, PlayedCamera([frame.rgb for frame in source]), detector, None)
            told = {name: report[name] for name in ("ms", "delay_ms", "dropped")}
            return {"fps": report["fps_shown"], **told, "others_share": watch.share()}
        begun = time.perf_counter()
        clip, before, _ = detect(job, source, detector, None)
        detected = time.perf_counter() - begun
        report = lift_and_draw(job, clip, lambda: open_source(str(video)), None, before)
        took = time.perf_counter() - begun
        speeds = {"fps": report["frames"] / took, "fps_detecting": report["frames"] / detected}
        return {**speeds, "ms": report["ms"], "others_share": watch.share()}


def doubt(rows: list[dict[str, Any]]) -> str:
    """Return a warning of the cases beside which other programs ran, in their best round too; else nothing."""
    found = [row for row in rows if disturbed(row["others_share"])]
    if not found:
        return ""
    names = [f"{row['people']} {row['precision']} {row['cores']} {'camera' if row['live'] else 'file'}" for row in found]
    worst = max(row["others_share"] for row in found)
    return f"Other programs took up to {worst:.0%} of the cores in use in {len(found)} of {len(rows)} cases: {', '.join(names)}."


def slowness(found: dict[str, Any]) -> float:
    """Return what tells the better of two runs of one case: of a camera its delay, which its frame rate does not show."""
    return float(found["delay_ms"]["p99"] if "delay_ms" in found else -found["fps"])


def unstoppable(stop: Any) -> AbstractContextManager[None]:
    """Let nobody interrupt."""
    return nullcontext()


def say(sentence: str) -> None:
    """Say nothing."""


def markdown(report: dict[str, Any]) -> str:
    """Return the tables."""
    stages = ("read", "detect", "lift", "shrink", "draw", "encode")
    heads = ["people", "lifter", "cores", "with", "frames a second", *(f"{stage}, ms" for stage in stages)]
    rows = [
        [
            *(str(row["people"]), row["precision"], str(row["cores"]), "video" if row["drawn"] else "poses", f"{row['fps']:.0f}"),
            *(f"{row['ms'][stage]:.1f}" if stage in row["ms"] else "" for stage in stages),
        ]
        for row in report["rows"]
        if not row["live"]
    ]
    live_heads = ["people", "lifter", "cores", "look-ahead", "delay p50, ms", "delay p99, ms", "frames a second", "dropped"]
    live = [
        [
            *(str(row["people"]), row["precision"], str(row["cores"])),
            "10 frames, 200 ms" if row["look_ahead"] is None else str(row["look_ahead"]),
            *(f"{row['delay_ms'][name]:.0f}" for name in ("p50", "p99")),
            *(f"{row['fps']:.0f}", str(row["dropped"])),
        ]
        for row in report["rows"]
        if row["live"]
    ]
    said = (
        f"720 x 1280 pixels, {report['frames']} frames, H.264, the best of {report['rounds']} runs; detector and lifter with one "
        "thread each. Stages work at the same time, so their milliseconds do not add up. "
        f"{versions(report['machine'])} {report['note'] or ''}"
    )
    camera = f"The same as a camera of {FPS:.0f} frames a second, with a picture written as H.264:"
    return "\n".join(["# The demo's speed", "", said, "", *grid(heads, rows), "", camera, "", *grid(live_heads, live)]) + "\n"


PROGRAM = measure
