"""Look-ahead 0: a causal network, whose window ends with the newest frame, against one whose future is filled with copies of it.

    python -m benchmarks causal build/causal build/nanohtnet weights/nanohtnet --data mocap17

Every bundle in every precision that it holds, and its streaming forms beside: in the plain view, where these give the poses of
whole windows, and in the person's, where frames that are remembered keep the view of their time. ``--times`` times one person's
streams on one core instead, which needs an idle machine; both go into one record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import numpy as np
import typer

from benchmarks.lifted import Score, lifted, test_sequences
from benchmarks.options import Every, Page, Results
from benchmarks.record import DOCS, RESULTS, grid, read_record, record, versions
from benchmarks.stream_cost import timed, timed_lifter
from poseedge.backends.registry import load
from poseedge.bench.latency import pinned
from poseedge.bench.machine import busy, machine_facts
from poseedge.bundle.reading import open_bundle
from poseedge.caches import CachedLifter
from poseedge.live.options import LiftOptions
from poseedge.live.trained import trained_on
from poseedge.live.types import Floats
from poseedge.live.view import PersonView, Sights, Turn

KINDS = ("gt", "detected")
VIEWS = ("plain", "person", "person, fixed")
TIMED_FRAMES = 600


class FixedView(PersonView):
    """The view of a person's first window, for good."""

    map: Any = None  # from pixels to the screen, (3, 3)
    turn: Turn | None = None

    def see(self, window: Sights) -> tuple[Floats, Turn | None]:
        """Return what that view shows of a window."""
        px = window.px
        if self.map is None:
            screen, self.turn = super().see(window)
            self.map = projective(px[0].astype(np.float64), screen[0].astype(np.float64))
        seen = np.concatenate([px, np.ones_like(px[..., :1])], axis=-1) @ self.map.T
        return (seen[..., :2] / seen[..., 2:]).astype(np.float32), self.turn


def projective(points: Any, seen: Any) -> Any:
    """Return the projective map ``(3, 3)`` that takes points ``(N, 2)`` to where they are seen, by least squares."""
    middle, spread = points.mean(axis=0), points.std()
    x, y = ((points - middle) / spread).T
    u, v = seen.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = [
        np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u]),
        np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v]),
    ]
    normal = np.linalg.svd(np.concatenate(rows, axis=1).T)[2][-1].reshape(3, 3)
    return normal @ np.array([[1 / spread, 0, -middle[0] / spread], [0, 1 / spread, -middle[1] / spread], [0, 0, 1]])


@contextmanager
def view_of(name: str) -> Iterator[LiftOptions]:
    """Yield the options of a view, at look-ahead 0."""
    with mock.patch("poseedge.live.options.PersonView", FixedView if name == "person, fixed" else PersonView):
        yield LiftOptions(view="plain" if name == "plain" else "person", trunk="papers", look_ahead=0)


def measure(
    bundles: Annotated[list[Path], typer.Argument(help="bundle folders")],
    data: Annotated[Path | None, typer.Option(help="data set folder; without, nothing but --times")] = None,
    every: Every = 8,
    precision: Annotated[list[str] | None, typer.Option(help="only these (repeat); default: all of a bundle")] = None,
    times: Annotated[bool, typer.Option("--times", help="time streams")] = False,
    results: Results = RESULTS,
    page: Page = DOCS / "lift.md",
) -> None:
    """Measure and record the table; what was recorded of other bundles, and the other kind of figures, stay."""
    report = {"rows": {}, **read_record(results / "causal")}
    for label, bundle, held, streaming in forms(bundles, precision):
        row = report["rows"].setdefault(label, {})
        if data is not None:
            report |= {"data": data.name, "every": every}
            row |= scores(bundle, held, streaming, data, every)
        if times:
            with pinned(1):
                row["times"] = timed(timed_lifter(bundle, held, streaming), 1, TIMED_FRAMES, look_ahead=0)
        print(label, row, flush=True)
    if times:
        machine = machine_facts()
        report |= {"machine": machine, "note": busy(machine)}
    record(results / "causal", report, markdown(report), page, "causal")


def forms(bundles: list[Path], precisions: list[str] | None) -> Iterator[tuple[str, Path, str, bool]]:
    """Yield label, bundle, precision and whether it is the streaming form."""
    for folder in bundles:
        bundle = open_bundle(folder)
        for precision in precisions or bundle.precisions:
            yield f"{folder.name}, {precision}", folder, precision, False
            if bundle.streaming_graph(precision):
                yield f"{folder.name}, {precision}, streaming", folder, precision, True


def scores(bundle: Path, precision: str, streaming: bool, data: Path, every: int) -> dict[str, Any]:
    """Return the errors of each view and kind of keypoints, and what one frame costs."""
    lifter = load(bundle, precision, stream=streaming)
    found: dict[str, Any] = {"flops": lifter.cost().flops, "frames": lifter.spec.frames, "views": {}}
    for name in VIEWS if isinstance(lifter, CachedLifter) else VIEWS[:2]:
        found["views"][name] = {}
        for kind in KINDS:
            with view_of(name) as options:
                sequences = test_sequences(data, kind, every)
                found["views"][name][kind] = asdict(lifted(lifter, sequences, options, trained_on(lifter)))
    return found


def markdown(report: dict[str, Any]) -> str:
    """Return the table."""
    heads = [f"{view}, {kind}" for view in VIEWS[:2] for kind in KINDS]
    timed_all = all("times" in row for row in report["rows"].values())
    columns = ["network", "frames", "MFLOP a frame", *(["ms a frame"] if timed_all else []), *heads]
    rows = []
    for label, row in report["rows"].items():
        first = [
            label,
            str(row["frames"]),
            f"{row['flops'] / 1e6:.1f}",
            *([f"{row['times']['p50_ms']:.2f}"] if timed_all else []),
        ]
        rows.append([*first, *(shown(row["views"][view][kind]) for view in VIEWS[:2] for kind in KINDS)])
        if VIEWS[2] in row["views"]:
            fixed = [shown(row["views"][VIEWS[2]][kind]) for kind in KINDS]
            rows.append([f"{label}, view of the first frame", *[""] * (len(columns) - 3), *fixed])
    frames = Score(**next(iter(report["rows"].values()))["views"]["plain"]["gt"]).frames
    said = (
        f"{report['data']}'s test subjects, every {report['every']}th clip, its cameras in turn: {frames:,} frames. MPJPE / "
        "P-MPJPE in mm / jitter in mm per frame squared, by view and keypoints; no flip test."
    )
    machine = [] if "machine" not in report else ["", f"Times: one person, one core. {versions(report['machine'])}"]
    note = [f"Note: {report['note']}."] if report.get("note") else []
    return "\n".join(["# Look-ahead 0", "", said, "", *grid(columns, rows), *machine, *note]) + "\n"


def shown(score: dict[str, Any]) -> str:
    """Return what the table says of a score."""
    return f"{score['mpjpe']:.1f} / {score['p_mpjpe']:.1f} / {score['jitter']:.2f}"


PROGRAM = measure
