"""The flip test as one module: a window and its mirror in one batch, un-mirrored and averaged."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from poseedge.models.network import LiftingNetwork
from poseedge.models.pruning import DensityPeaks
from poseedge.skeleton import MIRROR


class FlipAveraged(nn.Module):
    """``lift``, which takes any batch of windows, averaged with the un-mirrored poses of the mirrored windows."""

    order: Tensor

    def __init__(self, lift: nn.Module) -> None:
        super().__init__()
        self.lift = lift
        self.register_buffer("order", torch.tensor(MIRROR), persistent=False)

    def forward(self, keypoints: Tensor) -> Tensor:
        poses = self.lift(torch.cat([keypoints, self.mirrored(keypoints)]))
        plain, flipped = poses.chunk(2)
        # Not "/ 2": that constant also stands in the frame selection, which an FP16 graph keeps in float32.
        return (plain + self.mirrored(flipped)) * 0.5

    def mirrored(self, points: Tensor) -> Tensor:
        """Negate the first coordinate of ``(..., 17, C)`` and exchange left and right; the others stay."""
        sign = torch.ones(points.shape[-1], device=points.device)
        sign[0] = -1
        return points.index_select(-2, self.order) * sign


class Lifting(nn.Module):
    """A network as it is, with ``lift`` for its forward."""

    def __init__(self, network: LiftingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, keypoints: Tensor) -> Tensor:
        return self.network.lift(keypoints)


def paired(network: LiftingNetwork) -> LiftingNetwork:
    """Return ``network`` for batches whose second half mirrors the first.

    Where frames are chosen for the centre pose, the mirrored windows then keep those of the plain ones (HoT's test of
    TPC); any other network is returned as it is.
    """
    if not network.shares_selection:
        return network
    network = copy.deepcopy(network)
    for part in network.modules():
        if isinstance(part, DensityPeaks):
            part.paired = True
    return network
