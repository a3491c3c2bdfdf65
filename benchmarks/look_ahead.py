"""What overlap, look-ahead and smoothing do to error and jitter, for each precision of a bundle.

``python -m benchmarks look_ahead BUNDLE --data DATA``. The view is plain, as in ``eval``.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.lifted import Score, lifted, test_sequences
from benchmarks.record import RESULTS, embed, grid, record
from poseedge.backends.registry import load
from poseedge.live.options import LiftOptions
from poseedge.live.overlap import schedule
from poseedge.live.trained import TrainedOn, weights_sha256

PAGE = Path(__file__).parents[1] / "docs" / "lift.md"
KEYPOINTS = ("gt", "detected")
LOOK_AHEADS = (64, 32, 16, 8, 4, 2, 1, 0)


def ways(most: int) -> dict[str, LiftOptions]:
    """Return what is compared, by name; ``most``: look-ahead that the network can use."""
    plain = {"view": "plain", "trunk": "papers"}
    ahead = {f"look-ahead {frames}": {**plain, "look_ahead": frames} for frames in LOOK_AHEADS if frames < most}
    centre, overlap = {**plain, "overlap": False}, plain
    every = {
        "centre slot": centre,
        f"overlap (look-ahead {most})": overlap,
        **ahead,
        "centre slot, smoothed": {**centre, "smooth": True},
        "overlap, smoothed": {**overlap, "smooth": True},
        "look-ahead 0, smoothed": {**plain, "look_ahead": 0, "smooth": True},
    }
    return {name: LiftOptions(**values) for name, values in every.items()}  # type: ignore[arg-type]


def measure(
    bundle: Annotated[Path, typer.Argument(help="bundle folder")],
    data: Annotated[Path, typer.Option(help="data set folder")],
    precision: Annotated[list[str] | None, typer.Option(help="of the bundle (repeat); default: fp32 and int8")] = None,
    every: Annotated[int, typer.Option(min=1, help="every n-th test clip, its cameras in turn")] = 8,
    results: Annotated[Path, typer.Option(help="folder for the JSON file and the table")] = RESULTS,
    page: Annotated[Path, typer.Option(help="page of the documentation that shows the table")] = PAGE,
) -> None:
    """Measure and record the table."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for each in precision or ["fp32", "int8"]:
        lifter = load(bundle, each)
        for keypoints in KEYPOINTS:
            sequences = test_sequences(data, keypoints, every)
            for name, options in ways(schedule(lifter.spec).look_ahead).items():
                found = lifted(lifter, sequences, options, TrainedOn())
                rows.setdefault(name, {}).setdefault(each, {})[keypoints] = asdict(found)
                print(each, keypoints, name, found, flush=True)
    weights = weights_sha256(lifter)
    report = {"model": lifter.spec.model, "weights_sha256": weights, "data": data.name, "every": every, "rows": rows}
    table = markdown(report)
    record(results / f"look_ahead_{lifter.spec.model}", report, table)
    embed(page, "look-ahead", table)


def markdown(report: dict[str, Any]) -> str:
    """Return the table."""
    precisions = list(next(iter(report["rows"].values())))
    heads = [f"{p}, {k}: MPJPE / MPJVE / jitter" for k in KEYPOINTS for p in precisions]
    rows = [
        [name, *(shown(Score(**found[p][k])) for k in KEYPOINTS for p in precisions)] for name, found in report["rows"].items()
    ]
    frames = Score(**report["rows"]["centre slot"][precisions[0]]["gt"]).frames
    said = (
        f"{report['model']}, {report['data']}'s test subjects, every {report['every']}th clip, its cameras in turn: "
        f"{frames:,} frames. "
        "MPJPE in mm, MPJVE in mm per frame, jitter in mm per frame squared; plain view, no flip test."
    )
    return "\n".join([f"# Look-ahead of {report['model']}", "", said, "", *grid(["way", *heads], rows)]) + "\n"


def shown(score: Score) -> str:
    """Return what the table says of a score."""
    return f"{score.mpjpe:.2f} / {score.mpjve:.2f} / {score.jitter:.2f}"


PROGRAM = measure

if __name__ == "__main__":
    typer.run(PROGRAM)
