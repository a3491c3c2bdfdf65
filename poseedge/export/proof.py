"""The proof that a bundle carries: every graph against the PyTorch network, in millimetres, and samples for the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseedge.arrays import Float32Array
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.bundle.manifest import DatasetEntry, Proof
from poseedge.data.types import PoseDataset
from poseedge.evaluation.parity import parity
from poseedge.evaluation.plausible import doubts
from poseedge.evaluation.predict import Prediction, lift_windows, predict
from poseedge.evaluation.results import Errors
from poseedge.evaluation.score import score
from poseedge.export.job import Export
from poseedge.export.known import error_in_recipe
from poseedge.lifter import Lifter, Precision
from poseedge.progress import Stage


@dataclass(frozen=True)
class Proved:
    """What was found on the test subjects."""

    dataset: DatasetEntry
    reference: Errors  # of the PyTorch network
    warnings: list[str]
    parity: dict[Precision, Proof]


def prove(job: Export, reference: Lifter, test: PoseDataset, graphs: Mapping[Precision, Path], stage: Stage) -> Proved:
    """Compare every graph with the PyTorch network on the test subjects; a limit that is missed is a result, too."""
    total = sum(len(range(0, len(s), job.every)) for s in test.sequences)

    def run(lifter: Lifter, label: str) -> list[Prediction]:
        with stage(f"parity: {label}", total) as advance:
            return predict(lifter, test, job.flip, job.every, advance)

    wanted = run(reference, "PyTorch")
    proofs = {}
    for precision, path in graphs.items():
        found = run(OnnxLifter(path), precision)
        between = parity(found, wanted, job.recipe.limits.get(precision), job.every)
        proofs[precision] = Proof(**dict(score(found, job.every).errors), against_reference=between)
    return Proved(
        dataset=DatasetEntry(name=test.name, keypoints=test.keypoints, frames=total, every=job.every),
        reference=score(wanted, job.every).errors,
        warnings=[*reference.notes, *doubts(wanted, error_in_recipe(job.recipe, job.checkpoint, test))],
        parity=proofs,
    )


def save_samples(reference: Lifter, windows: Float32Array, flip: bool, path: Path) -> None:
    """Write windows and the PyTorch network's poses for the device to check itself against."""
    poses = np.concatenate([lift_windows(reference, window[None], flip) for window in windows])
    np.savez(path, keypoints=windows, poses_m=poses)
