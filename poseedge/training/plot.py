"""The curves of a training, as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

from poseedge.figure import new_figure, save_figure


def draw_curves(log: Path, picture: Path, title: str) -> None:
    """Draw loss and test error over epochs from ``log.csv`` into a PNG. Raises ``PoseedgeError`` without matplotlib."""
    with log.open(newline="") as stream:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    epochs = [row["epoch"] for row in rows]
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    axes.plot(epochs, [row["loss_mm"] for row in rows], "--", color="0.5", marker=".", label="training loss x 1000")
    for column in (key for key in rows[0] if key.startswith("mpjpe_mm_")):
        axes.plot(epochs, [row[column] for row in rows], marker=".", label=f"test MPJPE, {column.removeprefix('mpjpe_mm_')} 2D")
    axes.set(xlabel="epoch", ylabel="mm", title=title, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, picture)
