"""The calibrated ranges, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.figure import new_figure, save_figure
from poseedge.int8.placement import Placement
from poseedge.int8.ranges import QMAX, read_ranges

STEPS = 2 * QMAX + 1
LONGEST = 46  # letters of a row's name


def draw_ranges(found: Mapping[str, Any], placement: Placement, title: str, path: Path) -> None:
    """Draw what ``measure_ranges`` found as a PNG, a row for each tensor, named by the layers that read it.

    On the left what the values did, on the right how many of the 255 steps are left to a channel once the widest one is
    covered: few steps are coarse rounding. Needs matplotlib.
    """
    ranges = read_ranges(found)
    names = row_names(placement)
    keys = [key for key in names if key in ranges]
    rows = np.arange(len(keys))
    figure = new_figure(12, 2.0 + 0.19 * len(keys))
    left, right = figure.subplots(1, 2, sharey=True)
    lows, highs = ([np.array(found["tensors"][key][side]) for key in keys] for side in ("low", "high"))
    for low, high, color, label in (
        ([x.min() for x in lows], [x.max() for x in highs], "tab:blue", "all channels"),
        ([np.median(x) for x in lows], [np.median(x) for x in highs], "tab:cyan", "the median channel"),
    ):
        left.barh(rows, np.subtract(high, low), left=low, height=0.6, color=color, label=label)
    spans = [(high - low) / (ranges[key].divisor * ranges[key].step) for key, low, high in zip(keys, lows, highs, strict=True)]
    few, half, many = np.minimum([np.percentile(steps, [10, 50, 90]) for steps in spans], STEPS).T
    right.hlines(rows, few, many, color="0.6", linewidth=3, label="10 to 90 % of channels")
    right.plot(half, rows, "o", color="tab:orange", markersize=4, label="the median channel")
    left.set(title="lowest to highest value on the calibration windows", ylim=(len(keys) - 0.4, -0.6))
    left.set_xscale("symlog", linthresh=1)
    left.set_yticks(rows, [names[key] for key in keys], fontsize=7)
    right.set(title=f"steps that a channel's range takes, of {STEPS:.0f}", xlim=(0, STEPS))
    for axes in (left, right):
        axes.grid(axis="x", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.margins(x=0.03)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.025), ncol=2, fontsize=7, frameon=False)
    figure.suptitle(f"{title}: {found['method']}, {found['windows']} windows, migrate {found['migrate']:g}")
    save_figure(figure, path)


def row_names(placement: Placement) -> dict[str, str]:
    """Return, for each tensor that layers read, their names."""
    names: dict[str, list[str]] = {}
    for name, node in placement.layers.items():
        names.setdefault(node.input[0], []).append(name)
    joined = {key: ", ".join(readers) for key, readers in names.items()}
    return {key: name if len(name) <= LONGEST else f"{name[: LONGEST - 4]} ..." for key, name in joined.items()}
