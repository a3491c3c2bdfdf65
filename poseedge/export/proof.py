"""The proof that a bundle carries: every graph against the PyTorch network, in millimetres, and samples for the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.bundle.manifest import DatasetEntry, OverlapProof, Proof
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.evaluation.overlap import default_every, gives_whole_window, predict_overlapping
from poseedge.evaluation.parity import parity
from poseedge.evaluation.plausible import doubts
from poseedge.evaluation.predict import Prediction, predict
from poseedge.evaluation.protocols import plan
from poseedge.evaluation.results import Errors
from poseedge.evaluation.score import score
from poseedge.export.job import Export, lifts_sequences
from poseedge.export.known import error_in_recipe
from poseedge.lifter import Lifter, LifterSpec, Precision
from poseedge.progress import Stage


@dataclass(frozen=True)
class Proved:
    """What was found on the test subjects."""

    dataset: DatasetEntry
    reference: Errors  # of the PyTorch network
    warnings: list[str]
    parity: dict[Precision, Proof]


def prove(job: Export, reference: Lifter, test: PoseDataset, graphs: Mapping[Precision, Path], stage: Stage) -> Proved:
    """Compare every graph with the PyTorch network on the test subjects; a limit that is missed is a result, too.

    Where windows hold many poses, all are compared of the windows that must be lifted.
    """
    test, whole = shown_on(test, reference.spec), lifts_sequences(reference.spec.output_frames)
    total = sum(len(plan(s, reference.spec, every=job.every, whole=whole).frames) for s in test.sequences)

    def run(lifter: Lifter, label: str) -> tuple[list[Prediction], list[Prediction]]:
        with stage(f"parity: {label}", total) as advance:
            return posed(lifter, test, job, advance)

    wanted, wanted_mean = run(reference, "PyTorch")
    proofs = {}
    for precision, path in graphs.items():
        found, mean = run(OnnxLifter(path), precision)
        between = parity(found, wanted, job.recipe.limits.get(precision), job.every)
        overlap = averaged(mean, wanted_mean, default_every(reference.spec)) if mean else None
        proofs[precision] = Proof(**dict(score(found, job.every).errors), against_reference=between, overlap=overlap)
    return Proved(
        dataset=DatasetEntry(name=test.name, keypoints=test.keypoints, frames=total, every=job.every),
        reference=score(wanted, job.every).errors,
        warnings=[*reference.notes, *doubts(wanted, error_in_recipe(job.recipe, job.checkpoint, test))],
        parity=proofs,
    )


def posed(
    lifter: Lifter, test: PoseDataset, job: Export, advance: Callable[[int], None]
) -> tuple[list[Prediction], list[Prediction]]:
    """Return the poses of windows alone, and their mean over overlapping windows, where the same windows tell both.

    Of a network that gives one frame both are the same. One that gives its whole window would need nine times the work for the
    mean; ``bench`` and ``eval --overlap`` do that.
    """
    spec, whole = lifter.spec, lifts_sequences(lifter.spec.output_frames)
    if whole or gives_whole_window(spec) or job.every > 1:
        return predict(lifter, test, job.flip, job.every, advance, whole=whole), []
    if len(spec.output_frames) == 1:
        alone = predict(lifter, test, job.flip, job.every, advance)
        return alone, alone
    both = predict_overlapping(lifter, test, job.flip, advance=advance)
    return both.alone, both.mean


def averaged(found: list[Prediction], wanted: list[Prediction], every: int) -> OverlapProof:
    """Return what the mean over overlapping windows is worth, beside the PyTorch network's."""
    between = parity(found, wanted)
    return OverlapProof(
        every=every,
        mpjpe_mm=between.mpjpe_mm + between.delta_mpjpe_mm,
        jitter_mm=between.jitter_mm,
    )


def shown_on(test: PoseDataset, spec: LifterSpec) -> PoseDataset:
    """Return the sequences that parity is shown on: all; if windows hold many poses, each motion from one of its cameras.

    A window of such a network takes a core seconds in each precision.
    """
    if not lifts_sequences(spec.output_frames):
        return test
    motions: dict[tuple[str, str], list[PoseSequence]] = {}
    for sequence in test.sequences:
        motions.setdefault((sequence.subject, sequence.action), []).append(sequence)
    return replace(test, sequences=tuple(views[place % len(views)] for place, views in enumerate(motions.values())))
