"""What real cameras and detectors do to a lifter, and what ``poseedge lift`` leaves of it, for each precision of a bundle.

``python -m benchmarks live_gap BUNDLE --data DATA``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.lifted import Score, score, test_sequences
from benchmarks.options import BundleFolder, Data, Every, Name, PageIfAny, Precisions, Results
from benchmarks.record import RESULTS, grid, read_record, record
from benchmarks.scenes import (
    ARM,
    EVERYBODY,
    FULL_HD,
    LEG,
    Scene,
    Stand,
    astray,
    begun,
    missing,
    noisy,
    scene,
    swapped,
    unseen,
    unspoilt,
    wild,
    with_face,
    zoomed,
)
from poseedge.backends.registry import load
from poseedge.data.types import PoseSequence
from poseedge.lifter import Lifter
from poseedge.live.layouts import Trunk
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.trained import trained_on
from poseedge.skeleton import MIRROR

PLAIN, LIFT = LiftOptions(view="plain"), LiftOptions()
TRUNKS: tuple[Trunk, ...] = ("papers", "fitted")
GAPS = (10, 25, 45)
NEAREST_M = 0.5  # a clip in which a joint comes nearer to the camera is left out: no detector sees whom it walks into
Make = Callable[[PoseSequence], Scene]


@dataclass(frozen=True)
class Case:
    """One row: a scene, and the ways in which it is lifted."""

    section: str
    name: str
    make: Make
    ways: dict[str, LiftOptions]


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
    trunks: dict[str, LiftOptions] = {f"lift, {trunk}": replace(LIFT, trunk=trunk) for trunk in TRUNKS}
    yield Case("trunk", "COCO", partial(with_face, stand=usual), trunks)
    yield Case("trunk", "COCO, face unseen", partial(with_face, stand=usual, face=False), trunks)


def seen(stand: Stand, change: Callable[[Scene], Scene] = lambda whole: whole) -> Make:
    """Return what makes a scene of a sequence: a camera, and what a detector changes."""
    return lambda sequence: change(scene(sequence, stand))


def faults(stand: Stand) -> Iterator[Case]:
    """Yield the rows of a detector's errors."""
    only = {"lift": LIFT}
    for name, joints, lengths in (("arm", ARM, (3, 10, 25, 45)), ("leg", LEG, GAPS), ("everything", EVERYBODY, GAPS)):
        for frames in lengths:
            gap = f"{name}, {frames} frames"
            yield Case("gap", gap, seen(stand, partial(missing, joints=joints, frames=frames)), only)
            yield Case("gap", gap, seen(stand, partial(unspoilt, frames=frames)), {"nothing missing": LIFT})
    for frames in (1, 3, 5, 15):
        yield Case("swap", f"left and right, {frames} frames", seen(stand, partial(swapped, frames=frames)), only)
        yield Case("swap", f"left and right, {frames} frames", seen(stand, partial(unspoilt, frames=frames)), {"no swap": LIFT})
    yield from first_frames(stand)
    for percent in (1, 2, 3, 5):
        yield Case("noise", f"white, {percent} % of height", seen(stand, partial(noisy, percent=percent, seed=0)), only)
    for share in (0.5, 2, 5):
        yield Case("noise", f"gross errors, {share:g} % of joints", seen(stand, partial(wild, percent=share, seed=0)), only)


def first_frames(stand: Stand) -> Iterator[Case]:
    """Yield the rows of errors at the start of a track, with all look-ahead and none."""
    ways = {"lift": LIFT, "lift, look-ahead 0": replace(LIFT, look_ahead=0)}
    spoilt: dict[str, Callable[[Scene], Scene]] = {"as they are": partial(begun, spoil=lambda px: px, frames=0)}
    spoilt |= {f"one joint wrong, {frames} frames": partial(astray, frames=frames) for frames in (1, 2, 3)}
    exchange = {frames: partial(begun, spoil=lambda px: px[:, MIRROR], frames=frames) for frames in (1, 3)}
    spoilt |= {f"left and right, {frames} frames": change for frames, change in exchange.items()}
    spoilt |= {f"arm unseen, {frames} frames": partial(unseen, joints=ARM, frames=frames) for frames in (3, 10)}
    for name, change in spoilt.items():
        yield Case("first frames", name, seen(stand, change), ways)


def measure(
    bundle: BundleFolder,
    data: Data,
    precision: Precisions = None,
    every: Every = 8,
    frames: Annotated[int, typer.Option(min=1, help="of each clip, at most")] = 240,
    section: Annotated[list[str] | None, typer.Option(help="measure these anew (repeat); default: all")] = None,
    name: Name = None,
    results: Results = RESULTS,
    page: PageIfAny = None,
) -> None:
    """Measure sections and record the tables of all that were measured."""
    sequences = [cut(each, frames) for each in test_sequences(data, "gt", every)]
    lifters = {each: load(bundle, each) for each in precision or ["fp32", "int8"]}
    path = results / f"live_gap_{name or next(iter(lifters.values())).spec.model}"
    known = {"sections": {}, **read_record(path)}
    for wanted in section or dict.fromkeys(case.section for case in cases()):
        rows: list[dict[str, Any]] = []
        for case in (case for case in cases() if case.section == wanted):
            scenes = [each for each in map(case.make, sequences) if each.nearest_m >= NEAREST_M]
            for way, options in case.ways.items():
                found = {each: lifted(lifter, scenes, options) for each, lifter in lifters.items()}
                scored = max(each.frames for each in found.values())
                rows.append({"name": case.name, "way": way, "frames": scored, "mm": {p: rounded(s) for p, s in found.items()}})
                print(wanted, rows[-1], flush=True)
        known["sections"][wanted] = rows
    report = {**known, "weights": name, "data": data.name, "every": every, "frames_of_a_clip": frames}
    record(path, report, markdown(report), page, "live-gap")


def cut(sequence: PoseSequence, frames: int) -> PoseSequence:
    """Return the middle of a sequence."""
    start = max((len(sequence) - frames) // 2, 0)
    part = slice(start, start + frames)
    return replace(sequence, keypoints=sequence.keypoints[part], joints_m=sequence.joints_m[part])


def lifted(lifter: Lifter, scenes: list[Scene], options: LiftOptions) -> Score:
    """Return the errors of the frames that count."""
    pairs = []
    for clip, truth, scored, _ in scenes:
        found = lift_clip(lifter, clip, options, trained_on(lifter))
        if scored is not None:
            found = replace(found, seen=found.seen & scored)
        pairs.append((found, np.asarray(truth)))
    return score(pairs)


def rounded(score: Score) -> list[float]:
    """Return what is recorded of a score: MPJPE in camera axes, after scale, after similarity."""
    return [round(value, 1) for value in (score.mpjpe, score.n_mpjpe, score.p_mpjpe)]


def markdown(report: dict[str, Any]) -> str:
    """Return all tables."""
    weights, which = report["weights"] or "The bundle", f"every {report['every']}th clip"
    said = (
        f"{weights}, {report['data']}'s test subjects, {which}, at most {report['frames_of_a_clip']} frames of each. "
        "MPJPE in camera axes / after scale / after similarity (P-MPJPE), mm; no flip test."
    )
    lines = ["# From keypoints as they come", "", said, ""]
    for section, rows in report["sections"].items():
        columns = list(dict.fromkeys((row["way"], precision) for row in rows for precision in row["mm"]))
        by_name: dict[str, dict[tuple[str, str], str]] = {}
        for row in rows:
            for precision, values in row["mm"].items():
                by_name.setdefault(row["name"], {})[row["way"], precision] = " / ".join(f"{value:.1f}" for value in values)
        frames = max(row["frames"] for row in rows)
        fewer = {row["name"]: f"{row['name']} ({row['frames']:,} frames)" for row in rows if row["frames"] < frames}
        body = [[fewer.get(name, name), *(found.get(column, "") for column in columns)] for name, found in by_name.items()]
        lines += [*grid([f"{section} ({frames:,} frames)", *(", ".join(column) for column in columns)], body), ""]
    return "\n".join(lines)


PROGRAM = measure
