"""What real cameras and detectors do to a lifter, and what ``poseedge lift`` leaves of it, for each precision of a bundle.

Run as a module from the repository: ``python -m benchmarks.live_gap BUNDLE --data DATA``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.lifted import Score, score, test_sequences
from benchmarks.record import RESULTS, embed, grid, record
from benchmarks.scenes import ARM, EVERYBODY, LEG, Scene, Stand, missing, noisy, scene, swapped, wild, with_face, zoomed
from poseedge.backends.registry import load
from poseedge.data.types import PoseSequence
from poseedge.lifter import Lifter
from poseedge.live.layouts import Trunk
from poseedge.live.lift import lift_clip
from poseedge.live.options import Options
from poseedge.live.trained import TrainedOn

PAGE = Path(__file__).parents[1] / "docs" / "lift.md"
PLAIN, LIFT = Options(view="plain"), Options()
FULL_HD = (1920, 1080)
TRUNKS: tuple[Trunk, ...] = ("papers", "fitted")
Make = Callable[[PoseSequence], Scene]


@dataclass(frozen=True)
class Case:
    """One row: a scene, and the ways in which it is lifted."""

    section: str
    name: str
    make: Make
    ways: dict[str, Options]


def cases() -> Iterator[Case]:
    """Yield all rows."""
    both, only = {"plain": PLAIN, "lift": LIFT}, {"lift": LIFT}
    usual = Stand()
    for percent in (99, 60, 43, 33, 25, 20, 15, 10, 8):
        yield Case("size", f"{percent} % of the width", seen(usual, partial(zoomed, percent=percent)), both)
    for name, stand in {
        "training-like": usual,
        "3 m": Stand(distance_m=3),
        "12 m": Stand(distance_m=12),
        "wide lens, 2.2 m": Stand(distance_m=2.2, focal_of_half_width=1.2),
        "tele lens": Stand(focal_of_half_width=4.5),
        "1920x1080, 15 degrees aside": Stand(size=FULL_HD, focal_of_half_width=1.6, aside_deg=15),
        "1080x1920, 8 degrees off vertically": Stand(size=FULL_HD[::-1], focal_of_half_width=2.3, distance_m=5, below_deg=8),
        "roll of 26 degrees": Stand(roll_deg=26),
    }.items():
        known = {"lift, focal known": replace(LIFT, focal_px=stand.focal_px)}
        if stand.roll_deg:
            known = {"lift, roll known": replace(LIFT, camera_roll_deg=stand.roll_deg)}
        yield Case("camera", name, seen(stand), both | known)
    for elevation in (-15, 0, 7, 15, 22, 30, 45):
        tilt = {"lift, pitch known": replace(LIFT, camera_pitch_deg=elevation)}
        at = Stand(elevation_deg=elevation)
        yield Case("elevation", f"{elevation} degrees", seen(at), both | tilt)
    for fps in (10, 15, 25, 30, 50, 60, 100):
        yield Case("frame rate", f"{fps} Hz", partial(scene, stand=usual, fps=fps), only)
    yield from faults(usual)
    yield Case("trunk", "true joints", seen(usual), only)
    trunks: dict[str, Options] = {f"lift, {trunk}": replace(LIFT, trunk=trunk) for trunk in TRUNKS}
    yield Case("trunk", "COCO", partial(with_face, stand=usual), trunks)
    yield Case("trunk", "COCO, face unseen", partial(with_face, stand=usual, face=False), trunks)


def seen(stand: Stand, change: Callable[[Scene], Scene] = lambda whole: whole) -> Make:
    """Return what makes a scene of a sequence: a camera, and what a detector changes."""
    return lambda sequence: change(scene(sequence, stand))


def faults(stand: Stand) -> Iterator[Case]:
    """Yield the rows of a detector's errors."""
    only = {"lift": LIFT}
    for frames in (0, 3, 10, 25, 45):
        yield Case("gap", f"arm, {frames} frames", seen(stand, partial(missing, joints=ARM, frames=frames)), only)
    for frames in (10, 25, 45):
        yield Case("gap", f"leg, {frames} frames", seen(stand, partial(missing, joints=LEG, frames=frames)), only)
    for frames in (10, 25, 45):
        yield Case("gap", f"everything, {frames} frames", seen(stand, partial(missing, joints=EVERYBODY, frames=frames)), only)
    for frames in (1, 3, 5, 15):
        yield Case("swap", f"left and right, {frames} frames", seen(stand, partial(swapped, frames=frames)), only)
    for percent in (1, 2, 3, 5):
        yield Case("noise", f"white, {percent} % of height", seen(stand, partial(noisy, percent=percent, seed=0)), only)
    for share in (0.5, 2, 5):
        yield Case("noise", f"gross errors, {share:g} % of joints", seen(stand, partial(wild, percent=share, seed=0)), only)


def measure(
    bundle: Annotated[Path, typer.Argument(help="bundle folder")],
    data: Annotated[Path, typer.Option(help="data set folder")],
    precision: Annotated[list[str] | None, typer.Option(help="of the bundle (repeat); default: fp32 and int8")] = None,
    every: Annotated[int, typer.Option(min=1, help="every n-th test clip, its cameras in turn")] = 12,
    frames: Annotated[int, typer.Option(min=1, help="of each clip, at most")] = 300,
    section: Annotated[list[str] | None, typer.Option(help="only these sections (repeat); nothing is recorded then")] = None,
    results: Annotated[Path, typer.Option(help="folder for the JSON file and the table")] = RESULTS,
    page: Annotated[Path, typer.Option(help="page of the documentation that shows the table")] = PAGE,
) -> None:
    """Measure and record the tables."""
    sequences = [cut(each, frames) for each in test_sequences(data, "gt", every)]
    lifters = {each: load(bundle, each) for each in precision or ["fp32", "int8"]}
    rows: list[dict[str, Any]] = []
    for case in cases():
        if section and case.section not in section:
            continue
        scenes = [case.make(each) for each in sequences]
        for way, options in case.ways.items():
            found = {name: asdict(lifted(lifter, scenes, options)) for name, lifter in lifters.items()}
            rows.append({"section": case.section, "name": case.name, "way": way, "scores": found})
            print(case.section, case.name, way, {name: shown(Score(**each)) for name, each in found.items()}, flush=True)
    if section:
        return
    report = {"model": next(iter(lifters.values())).spec.model, "data": data.name, "every": every, "frames": frames, "rows": rows}
    table = markdown(report)
    record(results / f"live_gap_{report['model']}", report, table)
    embed(page, "live-gap", table)


def cut(sequence: PoseSequence, frames: int) -> PoseSequence:
    """Return the middle of a sequence."""
    start = max((len(sequence) - frames) // 2, 0)
    part = slice(start, start + frames)
    return replace(sequence, keypoints=sequence.keypoints[part], joints_m=sequence.joints_m[part])


def lifted(lifter: Lifter, scenes: list[Scene], options: Options) -> Score:
    """Return the errors of the frames that count."""
    pairs = []
    for clip, truth, scored in scenes:
        found = lift_clip(lifter, clip, options, TrainedOn())
        if scored is not None:
            found = replace(found, seen=found.seen & scored)
        pairs.append((found, np.asarray(truth)))
    return score(pairs)


def markdown(report: dict[str, Any]) -> str:
    """Return all tables."""
    precisions = list(report["rows"][0]["scores"])
    frames = report["rows"][0]["scores"][precisions[0]]["frames"]
    said = (
        f"{report['model']}, {report['data']}'s test subjects, every {report['every']}th clip, at most "
        f"{report['frames']} frames of each: {frames:,} frames. MPJPE in camera axes / after scale / after similarity "
        "(P-MPJPE), mm; no flip test."
    )
    lines = ["# From keypoints as they come", "", said, ""]
    for section in dict.fromkeys(row["section"] for row in report["rows"]):
        rows = [row for row in report["rows"] if row["section"] == section]
        ways = list(dict.fromkeys(row["way"] for row in rows))
        heads = [f"{way}, {precision}" for way in ways for precision in precisions]
        by_name: dict[str, dict[str, Any]] = {}
        for row in rows:
            by_name.setdefault(row["name"], {})[row["way"]] = row["scores"]
        body = [
            [name, *(shown(Score(**found[w][p])) if w in found else "" for w in ways for p in precisions)]
            for name, found in by_name.items()
        ]
        lines += [*grid([section, *heads], body), ""]
    return "\n".join(lines)


def shown(score: Score) -> str:
    """Return what the table says of a score."""
    return f"{score.mpjpe:.1f} / {score.n_mpjpe:.1f} / {score.p_mpjpe:.1f}"


if __name__ == "__main__":
    typer.run(measure)
