"""The curves of a training, as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

from poseedge.errors import require
from poseedge.files import atomic_write


def draw_curves(log: Path, picture: Path, title: str) -> None:
    """Draw loss and test error over epochs from ``log.csv`` into a PNG. Raises ``PoseedgeError`` without matplotlib."""
    require("matplotlib", "train")
    from matplotlib.figure import Figure

    with log.open(newline="") as stream:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    epochs = [row["epoch"] for row in rows]
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(epochs, [row["loss_mm"] for row in rows], "--", color="0.5", marker=".", label="training loss x 1000")
    for column in (key for key in rows[0] if key.startswith("mpjpe_mm_")):
        axes.plot(epochs, [row[column] for row in rows], marker=".", label=f"test MPJPE, {column.removeprefix('mpjpe_mm_')} 2D")
    axes.set(xlabel="epoch", ylabel="mm", title=title, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
