"""The error of a network in training, on test subjects."""

from __future__ import annotations

from pathlib import Path

import torch

from poseedge.backends.torch import TorchLifter
from poseedge.data.h36m import PoseDataset
from poseedge.evaluation import predict, score
from poseedge.skeleton import ROOT
from poseedge.training.objective import Objective, Refining
from poseedge.training.recorded import RecordedWindows

CHUNK = 256


def errors_mm(objective: Objective, datasets: list[PoseDataset], every: int, threads: int) -> dict[str, float]:
    """Return MPJPE over every ``every``-th frame, one figure for each kind of keypoints: ``{"mpjpe_mm_gt": ...}``."""
    errors = {}
    for dataset in datasets:
        if isinstance(objective, Refining):
            error = refined_mpjpe_mm(objective, dataset, every)
        else:
            lifter = TorchLifter(objective.network, Path(), threads)
            error = float(score(predict(lifter, dataset, every=every), every=every)["mpjpe_mm"])
        errors[f"mpjpe_mm_{dataset.keypoints}"] = error
    return errors


@torch.no_grad()
def refined_mpjpe_mm(objective: Refining, dataset: PoseDataset, every: int) -> float:
    """Return MPJPE of the refined pose, which knows the true depth of the root; the root's own error counts as none."""
    network = objective.network
    frames = RecordedWindows(dataset, network.frames, (objective.center,), "centered", every, "none")
    device = next(objective.parameters()).device
    distances = []
    for rows in torch.arange(frames.windows).split(CHUNK):
        keypoints, joints, root, intrinsics = (part.to(device) for part in frames.plain(rows))
        refined = objective.refined(keypoints, root[:, :, 2], intrinsics)
        refined[:, :, ROOT] = 0
        distances.append((refined - joints).norm(dim=-1).flatten(1).mean(dim=1).cpu())
    return 1000 * torch.cat(distances).double().mean().item()
