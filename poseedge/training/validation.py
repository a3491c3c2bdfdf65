"""The error of a network in training, on test subjects."""

from __future__ import annotations

from pathlib import Path

from poseedge.backends.refine import refine_step
from poseedge.backends.torch import TorchLifter
from poseedge.data.h36m import PoseDataset
from poseedge.evaluation import predict, score
from poseedge.training.objective import Objective, RefiningObjective


def errors_mm(objective: Objective, datasets: list[PoseDataset], every: int, threads: int) -> dict[str, float]:
    """Return MPJPE over every ``every``-th frame, one figure for each kind of keypoints: ``{"mpjpe_mm_gt": ...}``.

    A refined pose knows the true depth of the root, as in the papers.
    """
    lifter = TorchLifter(objective.network, Path(), threads)
    refine = refine_step(objective.refine) if isinstance(objective, RefiningObjective) else None
    return {
        f"mpjpe_mm_{dataset.keypoints}": float(score(predict(lifter, dataset, every=every, refine=refine), every)["mpjpe_mm"])
        for dataset in datasets
    }
