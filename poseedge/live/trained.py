"""What a network was shown in training, as far as lifting other people's videos depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poseedge.errors import PoseedgeError
from poseedge.files import sha256_of
from poseedge.lifter import USUAL_FPS, Lifter
from poseedge.live.layouts import Trunk
from poseedge.network_files import network_file, network_files, read_table
from poseedge.records import record
from poseedge.resources import resource

_CHECKPOINTS = {".pth", ".pt", ".bin"}


@dataclass(frozen=True)
class TrainedOn:
    """The defaults are those of Human3.6M, which mocap17's cameras imitate: so the bundled network's and published ones'."""

    fps: float = USUAL_FPS
    person_size: float = 0.6203  # trunk and leg in screen units, median over training windows of each one's 90th percentile
    elevation_deg: float = 7.0  # of the camera, seen from the person
    lean_share: float = 0.6  # of an unfamiliar elevation, that the network puts into the pose; 0 where all are familiar
    trunk: Trunk = "papers"


def bundled_network() -> Path:
    """Return the bundle that travels with poseedge: NanoHTNet's weights for live use, in INT8 for CPUs."""
    return resource("weights", "nanohtnet")


def weights_sha256(lifter: Lifter) -> str:
    """Return the hash of the checkpoint that ``lifter`` is or was exported from; empty if that is not known."""
    return sha256_of(lifter.path) if lifter.path.suffix in _CHECKPOINTS else lifter.spec.weights_sha256


def trained_on(lifter: Lifter) -> TrainedOn:
    """Return what the table ``lifting`` of a network's recipe says of these bundled weights; the defaults for any others.

    Checkpoints that poseedge trained, and what was exported from them, tell their frame rate themselves.
    """
    name = lifter.spec.model
    tables = read_table(name, "lifting") if name in network_files() else {}
    weights = weights_sha256(lifter)
    for file, table in tables.items():
        bundled = resource("weights", file)
        if bundled.is_file() and sha256_of(bundled) == weights:
            try:
                return record(TrainedOn, table, f"lifting.{file}.")
            except ValueError as error:
                raise PoseedgeError(f"{network_file(name)}: {error}", "docs/recipes.md lists what a recipe holds") from error
    return TrainedOn(fps=lifter.spec.known_fps)
