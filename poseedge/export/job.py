"""One export to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poseedge.export.recipe import Recipe
from poseedge.lifter import Precision
from poseedge.models.network import LiftingNetwork
from poseedge.targets.boards import Target

SEQUENCE = 81  # poses of a window, from which on a few windows are sample enough


@dataclass(frozen=True)
class Export:
    """What is exported, for what, where to, and on what data it is calibrated and proved."""

    recipe: Recipe
    checkpoint: Path
    bundled: bool  # the checkpoint is the one that travels with poseedge
    target_name: str
    target: Target
    precisions: tuple[Precision, ...]
    output: Path
    data: Path  # parity is shown on its test subjects
    calibration: Path  # INT8 ranges come from its training subjects
    every: int = 1  # parity on every n-th frame
    free_batch: bool = False
    flip: bool = False  # the graph does the flip test itself: a window and its mirror, averaged
    stream: bool = False  # beside each graph its streaming form
    steady: bool = False  # INT8 rounds in two steps where the recipe says so
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the network, in place of what a published checkpoint tells


def sample_windows(network: LiftingNetwork) -> int:
    """Return on how many windows a graph is checked against the network, here and on a device.

    A window of a network that lifts sequences costs up to a minute of one core in all, and shows hundreds of poses.
    """
    return 2 if len(network.output_frames) >= SEQUENCE else 16
