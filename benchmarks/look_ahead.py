"""What overlap, look-ahead, flip and smoothing do to error and jitter, for each precision of a bundle.

``python -m benchmarks look_ahead BUNDLE --data DATA``. The view is plain, as in ``eval``.
Rows of other precisions that were measured on the same frames are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.lifted import Score, recorded, score, test_sequences
from benchmarks.options import BundleFolder, Data, Every, Name, PageIfAny, Precisions, Results
from benchmarks.record import RESULTS, grid, read_record, record
from poseedge.arrays import Float32Array
from poseedge.backends.registry import load
from poseedge.data.types import PoseSequence
from poseedge.lifter import Lifter
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.overlap import schedule
from poseedge.live.trained import TrainedOn, weights_sha256

KEYPOINTS = ("gt", "detected")
LOOK_AHEADS = (64, 32, 16, 8, 4, 2, 1, 0)
JITTERS = (1, 2, 5, 10, 20)  # that the plot's axis names


def ways(most: int) -> dict[str, LiftOptions]:
    """Return what is compared, by name; ``most``: look-ahead that the network can use."""
    plain = {"view": "plain", "trunk": "papers"}
    ahead = {f"look-ahead {frames}": {**plain, "look_ahead": frames} for frames in LOOK_AHEADS if frames < most}
    centre, overlap = {**plain, "overlap": False}, plain
    every = {
        "centre slot": centre,
        f"overlap (look-ahead {most})": overlap,
        **ahead,
        "centre slot, flip": {**centre, "flip": True},
        "overlap, flip": {**overlap, "flip": True},
        "centre slot, smoothed": {**centre, "smooth": True},
        "overlap, smoothed": {**overlap, "smooth": True},
        "look-ahead 0, smoothed": {**plain, "look_ahead": 0, "smooth": True},
    }
    return {name: LiftOptions(**values) for name, values in every.items()}  # type: ignore[arg-type]


class Remembering:
    """A lifter that runs no window twice: several ways of lifting one clip ask for the same ones."""

    def __init__(self, lifter: Lifter) -> None:
        self._lifter, self._known = lifter, dict[bytes, Float32Array]()
        self.spec, self.path = lifter.spec, lifter.path
        self.backend, self.provider, self.notes, self.cost = lifter.backend, lifter.provider, lifter.notes, lifter.cost

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        names = [window.tobytes() for window in keypoints]
        missing = [place for place, name in enumerate(names) if name not in self._known]
        if missing:
            self._known |= zip((names[place] for place in missing), self._lifter(keypoints[missing]), strict=True)
        return np.stack([self._known[name] for name in names])

    def forget(self) -> None:
        """Begin another clip."""
        self._known.clear()


def compared(lifter: Lifter, sequences: Sequence[PoseSequence]) -> dict[str, Score]:
    """Return the errors of all ways on recorded sequences."""
    remembering = Remembering(lifter)
    pairs: dict[str, list[Any]] = {}
    for sequence in sequences:
        clip = recorded(sequence)
        for name, options in ways(schedule(lifter.spec).look_ahead).items():
            pairs.setdefault(name, []).append((lift_clip(remembering, clip, options, TrainedOn()), sequence.relative_m))
        remembering.forget()
    return {name: score(each) for name, each in pairs.items()}


def measure(
    bundle: BundleFolder,
    data: Data,
    precision: Precisions = None,
    every: Every = 8,
    name: Name = None,
    results: Results = RESULTS,
    page: PageIfAny = None,
    picture: Annotated[Path | None, typer.Option(help="plot to write, .svg or .png")] = None,
) -> None:
    """Measure and record the table."""
    path = results / f"look_ahead_{name or load(bundle, (precision or ['fp32'])[0]).spec.model}"
    known = read_record(path)
    rows: dict[str, dict[str, dict[str, Any]]] = known["rows"] if known.get("every") == every else {}
    for each in precision or ["fp32", "int8"]:
        lifter = load(bundle, each)
        for keypoints in KEYPOINTS:
            for way, found in compared(lifter, test_sequences(data, keypoints, every)).items():
                rows.setdefault(way, {}).setdefault(each, {})[keypoints] = asdict(found)
                print(each, keypoints, way, found, flush=True)
    report = {"model": lifter.spec.model, "weights": name, "data": data.name, "every": every, "rows": rows}
    report["weights_sha256"] = weights_sha256(lifter)
    record(path, report, markdown(report), page, "look-ahead")
    if picture is not None:
        draw(report, picture)


def markdown(report: dict[str, Any]) -> str:
    """Return the table."""
    precisions = sorted(next(iter(report["rows"].values())))
    heads = [f"{p}, {k}: MPJPE / MPJVE / jitter" for k in KEYPOINTS for p in precisions]
    rows = [
        [name, *(shown(Score(**found[p][k])) for k in KEYPOINTS for p in precisions)] for name, found in report["rows"].items()
    ]
    frames = Score(**report["rows"]["centre slot"][precisions[0]]["gt"]).frames
    which = f"every {report['every']}th" if report["every"] > 1 else "every"
    said = (
        f"{report['weights'] or report['model']}, {report['data']}'s test subjects, {which} clip, its cameras "
        f"in turn: {frames:,} frames. "
        "MPJPE in mm, MPJVE in mm per frame, jitter in mm per frame squared; plain view."
    )
    return "\n".join([f"# Look-ahead of {report['model']}", "", said, "", *grid(["way", *heads], rows)]) + "\n"


def draw(report: dict[str, Any], path: Path) -> None:
    """Plot error and jitter over look-ahead."""
    from matplotlib.figure import Figure

    rows = report["rows"]
    shown_ways = [name for name in rows if name.startswith(("overlap (", "look-ahead")) and not name.endswith("smoothed")]
    places = {name: int(name.strip(")").rpartition(" ")[2]) for name in shown_ways}
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, key, unit in zip(
        figure.subplots(1, 2), ("mpjpe", "jitter"), ("MPJPE, mm", "jitter, mm per frame squared"), strict=True
    ):
        for precision, line in zip(sorted(rows[shown_ways[0]]), ("-", "--", ":"), strict=False):
            for keypoints, colour in (("gt", "tab:blue"), ("detected", "tab:orange")):
                values = [rows[name][precision][keypoints][key] for name in places]
                label = f"{precision}, {'true' if keypoints == 'gt' else 'detected'} keypoints"
                axes.plot(list(places.values()), values, line, marker=".", color=colour, label=label)
        axes.set_xscale("symlog", base=2, linthresh=1)
        axes.set_xticks(list(places.values()), [str(place) for place in places.values()])
        axes.set(xlabel="look-ahead, frames at 50 Hz", ylabel=unit)
        axes.grid(alpha=0.3)
    figure.axes[1].set_yscale("log")
    figure.axes[1].set_yticks(JITTERS, [f"{jitter:g}" for jitter in JITTERS], minor=False)
    figure.axes[1].set_yticks([], minor=True)
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path)


def shown(score: Score) -> str:
    """Return what the table says of a score."""
    return f"{score.mpjpe:.2f} / {score.mpjve:.2f} / {score.jitter:.2f}"


PROGRAM = measure
