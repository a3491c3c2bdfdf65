"""What a NanoHTNet's features hold before any label: how much of the camera, and how much of the pose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.data.types import PoseDataset
from poseedge.models.nanohtnet import NanoHTNet
from poseedge.training.batch import Batch
from poseedge.training.poseclr import InstantSampler
from poseedge.training.recorded import RecordedWindows

LABELS = 400
INSTANTS = 200
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the ridge regression, in shares of the number of windows
RIGHT_HIP, LEFT_HIP = 1, 4


def features_table(networks: Mapping[str, nn.Module], train: PoseDataset, test: PoseDataset, every: int) -> list[dict[str, Any]]:
    """Return a row per network; the same windows for all."""
    rows = []
    for name, network in networks.items():
        assert isinstance(network, NanoHTNet)
        network.eval()
        labelled = RecordedWindows(train, network.frames, network.output_frames, "centered", None, "none")
        some = labelled.take(torch.randperm(labelled.windows, generator=torch.Generator().manual_seed(0))[:LABELS])
        shown = RecordedWindows(test, network.frames, network.output_frames, "centered", every, "none")
        unseen = shown.take(torch.arange(shown.windows))
        views, _ = InstantSampler(test, network.frames).draw(INSTANTS, torch.Generator().manual_seed(0))
        known, new = features(network, some.keypoints), features(network, unseen.keypoints)
        camera, heading = ((pose(some), pose(unseen)), (facing(pose(some)), facing(pose(unseen))))
        rows.append(
            {
                "features": name,
                "windows": LABELS,
                "between_cameras": between_cameras(features(network, views.flatten(0, 1)).unflatten(0, views.shape[:2])),
                "camera_mm": read_out_mm(known, camera[0], new, camera[1]),
                "without_heading_mm": read_out_mm(known, heading[0], new, heading[1]),
            }
        )
    return rows


@torch.no_grad()
def features(network: NanoHTNet, keypoints: Tensor) -> Tensor:
    """Return what both streams give for windows ``(N, F, 17, 2)``, side by side: ``(N, D)``."""
    kept: list[Tensor] = []
    hooks = [
        stream.register_forward_hook(lambda module, args, output: kept.append(output.flatten(1)))
        for stream in (network.tem_Transformer, network.Transformer)
    ]
    parts = []
    for part in keypoints.split(500):
        kept.clear()
        network(part)
        parts.append(torch.cat(kept, dim=1))
    for hook in hooks:
        hook.remove()
    return torch.cat(parts)


def between_cameras(views: Tensor) -> float:
    """Return the share of the variance of ``(instants, cameras, D)`` that lies between the cameras of an instant."""
    within = (views - views.mean(dim=1, keepdim=True)).square().mean()
    return (within / (views - views.mean(dim=(0, 1))).square().mean()).item()


def pose(batch: Batch) -> Tensor:
    """Return the middle pose of each window, ``(N, 17, 3)``."""
    return batch.joints_m[:, batch.joints_m.shape[1] // 2]


def facing(joints: Tensor) -> Tensor:
    """Turn poses ``(N, 17, 3)`` about the camera's vertical axis until the hips lie along x."""
    across = joints[:, LEFT_HIP] - joints[:, RIGHT_HIP]
    side = F.normalize(across[:, [0, 2]], dim=1)
    cos, sin = side[:, :1], side[:, 1:]
    x, y, z = joints.unbind(-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], dim=-1)


def read_out_mm(known: Tensor, poses: Tensor, new: Tensor, true: Tensor) -> float:
    """Return the MPJPE of a ridge regression; a quarter of the known windows chooses its penalty."""
    mean, scale = known.mean(dim=0), known.std(dim=0) + 1e-6
    x, x_new = ((part - mean) / scale for part in (known, new))
    cut = len(x) * 3 // 4
    best = min(PENALTIES, key=lambda penalty: error_mm(ridge(x[:cut], poses[:cut], x[cut:], penalty), poses[cut:]))
    return error_mm(ridge(x, poses, x_new, best), true)


def ridge(x: Tensor, poses: Tensor, x_new: Tensor, penalty: float) -> Tensor:
    """Fit ``poses (N, 17, 3)`` linearly to ``x (N, D)`` and return them at ``x_new``, in the form with an ``(N, N)`` matrix."""
    x, x_new, middle = x.double(), x_new.double(), poses.double().mean(dim=0)
    centre = x.mean(dim=0)
    gram = (x - centre) @ (x - centre).T
    gram.diagonal().add_(penalty * gram.trace() / len(x))
    weights = torch.linalg.solve(gram, (poses.double() - middle).flatten(1))
    return ((x_new - centre) @ (x - centre).T @ weights).unflatten(1, poses.shape[1:]) + middle


def error_mm(predicted: Tensor, true: Tensor) -> float:
    """Return MPJPE."""
    return 1000 * (predicted - true).norm(dim=-1).mean().item()
