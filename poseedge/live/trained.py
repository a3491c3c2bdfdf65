"""What a network was shown in training, as far as lifting other people's videos depends on it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from poseedge.bundle.reading import read_manifest
from poseedge.errors import ArtefactError
from poseedge.files import sha256_of
from poseedge.lifter import Lifter
from poseedge.live.layouts import Trunk
from poseedge.resources import resource

_CHECKPOINTS = {".pth", ".pt", ".bin"}


@dataclass(frozen=True)
class TrainedOn:
    """The defaults are those of Human3.6M, which mocap17's cameras imitate: so the bundled network's and published ones'."""

    fps: float = 50.0
    person_size: float = 0.6203  # trunk and leg in screen units, median over training windows of each one's 90th percentile
    elevation_deg: float = 7.0  # of the camera, seen from the person
    trunk: Trunk = "papers"


def trained_on(lifter: Lifter) -> TrainedOn:
    """Return what is known of a network's training: only the bundled weights know the trunk as CMU's mocap has it."""
    return TrainedOn(trunk="fitted" if has_bundled_weights(lifter) else "papers")


def has_bundled_weights(lifter: Lifter) -> bool:
    """Say whether a lifter is a bundled checkpoint, or belongs to a bundle that was made of one."""
    if lifter.path.suffix in _CHECKPOINTS:
        bundled = resource("weights", f"{lifter.spec.model}.pth")
        return bundled.is_file() and sha256_of(bundled) == sha256_of(lifter.path)
    with contextlib.suppress(ArtefactError):
        return read_manifest(lifter.path.parent).checkpoint.bundled
    return False
