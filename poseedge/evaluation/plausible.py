"""Whether an error is what it should be: damage to weights that no checksum shows, and keypoints in another form, show here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poseedge import metrics
from poseedge.evaluation.predict import Prediction
from poseedge.evaluation.score import millimetres

FAR = 0.25  # of the known error; the flip test and every tenth frame change it by less than a tenth
LEAST_FRAMES = 30  # fewer say little about an error of all frames


@dataclass(frozen=True)
class Known:
    """The MPJPE that an artefact has shown on the same data before, and where that is written."""

    mpjpe_mm: float
    source: str


def doubts(predictions: list[Prediction], known: Known | None = None) -> list[str]:
    """Return what is suspicious about predictions: worse than standing still, or far from the error that is ``known``."""
    targets = np.concatenate([p.target_m for p in predictions])
    found = millimetres(np.concatenate([metrics.joint_distances(p.poses_m, p.target_m) for p in predictions]).mean())
    still = millimetres(metrics.joint_distances(np.broadcast_to(targets.mean(axis=0), targets.shape), targets).mean())
    said = []
    if len(targets) >= LEAST_FRAMES and found > still:
        said.append(
            f"MPJPE is {found:.1f} mm, and {still:.1f} mm for the mean pose held still: are the weights damaged or untrained,"
            " or the keypoints in another form than the network's?"
        )
    if known is not None and len(targets) >= LEAST_FRAMES and abs(found - known.mpjpe_mm) > FAR * known.mpjpe_mm:
        said.append(f"MPJPE is {found:.1f} mm, and {known.source} says {known.mpjpe_mm:.1f} mm of this data: did a file change?")
    return said
