"""What a step compares: from a batch to pairs of predicted and true poses."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from poseedge.models.network import LiftingNetwork, Network
from poseedge.models.refine import RefineNetwork, back_project

Pairs = list[tuple[Tensor, Tensor]]  # predicted and true poses (B, K, 17, 3), one pair per output of the network


class Objective(nn.Module, ABC):
    """What is trained: a lifting network, and what it is trained with."""

    network: LiftingNetwork

    @property
    def parts(self) -> dict[str, Network]:
        """The networks that are kept, by the ending of their checkpoint's name."""
        return {"": self.network}

    @property
    def identity(self) -> dict[str, str]:
        """What decides the result beside recipe and windows."""
        return {}

    @abstractmethod
    def forward(self, keypoints: Tensor, joints_m: Tensor, root_m: Tensor, intrinsics: Tensor) -> Pairs:
        """Return the pairs of a ``Batch``."""


class LiftingObjective(Objective):
    """Train a lifting network on all that its training form gives."""

    def __init__(self, network: LiftingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, keypoints: Tensor, joints_m: Tensor, root_m: Tensor, intrinsics: Tensor) -> Pairs:
        """Return the pairs of a ``Batch``."""
        rows = torch.arange(len(joints_m), device=joints_m.device)[:, None]
        windows = with_confidence(keypoints, self.network)
        return [(poses, joints_m[rows, index]) for poses, index in self.network.supervised(windows)]


class RefiningObjective(Objective):
    """Train a lifting network together with a refine module, on the refined centre pose (stage two).

    The back-projection knows the true depth of the root and the camera, as in the papers.
    """

    def __init__(self, network: LiftingNetwork, refine: RefineNetwork) -> None:
        super().__init__()
        self.network, self.refine = network, refine
        self.center = (network.frames - 1) // 2

    @property
    def parts(self) -> dict[str, Network]:
        return {"": self.network, "_refine": self.refine}

    def forward(self, keypoints: Tensor, joints_m: Tensor, root_m: Tensor, intrinsics: Tensor) -> Pairs:
        """Return the pair of a ``Batch``."""
        known = self.network.supervised_frames.index(self.center)
        center = slice(known, known + 1)
        return [(self.refined(keypoints, root_m[:, center, 2], intrinsics), joints_m[:, center])]

    def refined(self, keypoints: Tensor, root_depth: Tensor, intrinsics: Tensor) -> Tensor:
        """Return the refined centre pose ``(B, 1, 17, 3)``; ``root_depth (B, 1)`` metres."""
        lifted = self.network.lift(keypoints)
        center = keypoints[:, self.center : self.center + 1, :, :2]
        return self.refine(lifted, back_project(center, lifted, root_depth, intrinsics))


def with_confidence(keypoints: Tensor, network: LiftingNetwork) -> Tensor:
    """Return windows as ``network`` takes them: with a confidence of one where it wants any."""
    return nn.functional.pad(keypoints, (0, network.in_channels - keypoints.shape[-1]), value=1.0)
