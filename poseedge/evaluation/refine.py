"""A refine checkpoint as a step after lifting: it reads the true depth of the root, so it serves evaluation alone."""

from __future__ import annotations

from pathlib import Path

import torch

from poseedge.arrays import FloatArray, IndexArray
from poseedge.data.types import PoseSequence
from poseedge.errors import CheckpointError
from poseedge.evaluation.predict import RefinePoses
from poseedge.models import load_checkpoint
from poseedge.models.refine import RefineNetwork, back_project
from poseedge.skeleton import ROOT


def load_refine(path: Path) -> RefinePoses:
    """Return the step that the refine checkpoint ``path`` is; raises ``CheckpointError`` if it holds another network."""
    network = load_checkpoint(path)
    if not isinstance(network, RefineNetwork):
        raise CheckpointError(f"{path}: holds {network.name}, which refines no poses", "give a refine checkpoint with --refine")
    return refine_step(network)


def refine_step(network: RefineNetwork) -> RefinePoses:
    """Return the step that ``network`` is, wherever its weights are."""
    device = next(network.parameters()).device

    @torch.inference_mode()
    def refine(sequence: PoseSequence, frames: IndexArray, poses: FloatArray) -> FloatArray:
        sequence.check_focal_length("refining", "leave --refine out")
        pose, keypoints = (torch.from_numpy(x)[:, None] for x in (poses, sequence.keypoints[frames]))  # (N, 1, 17, ...)
        depth = torch.from_numpy(sequence.joints_m[frames, ROOT, 2])[:, None]
        intrinsics = torch.from_numpy(sequence.camera.intrinsics).expand(len(frames), -1)
        pose, keypoints, depth, intrinsics = (x.to(device) for x in (pose, keypoints, depth, intrinsics))
        return network(pose, back_project(keypoints, pose, depth, intrinsics))[:, 0].cpu().numpy()

    return refine
