"""Pictures by matplotlib: one way to begin a figure and one to write it, without a display and without global state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poseedge.errors import require
from poseedge.files import atomic_write

DOTS_PER_INCH = 120


def new_figure(width_in: float, height_in: float) -> Any:
    """Return an empty ``matplotlib.figure.Figure``; raises ``PoseedgeError`` where matplotlib is not installed."""
    return require("matplotlib.figure", "plot").Figure(figsize=(width_in, height_in), layout="constrained")


def save_figure(figure: Any, path: Path) -> None:
    """Write ``figure`` as a PNG, whatever the suffix of ``path`` says."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, format="png")
