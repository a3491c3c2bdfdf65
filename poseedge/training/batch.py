"""What one training step reads, and how its randomness is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from poseedge.skeleton import MIRROR

MIRRORED_CAMERA = torch.tensor([1.0, 1, -1, 1, 1, 1, 1, -1, 1])  # c_x and p_1 change their sign


class Batch(NamedTuple):
    """B windows of F frames, of which K are known in 3D."""

    keypoints: Tensor  # (B, F, 17, C) normalized screen coordinates, and a confidence if C is 3
    joints_m: Tensor  # (B, K, 17, 3) metres from the root, camera axes
    root_m: Tensor  # (B, K, 3) metres, absolute
    intrinsics: Tensor  # (B, 9) normalized


@dataclass(frozen=True)
class ProcessShare:
    """Which part of every batch a process draws: randomness is a function of seed, rank and step, and has no state.

    So nothing of it has to be saved, and a resumed training sees what the uninterrupted one would have seen.
    """

    seed: int
    rank: int = 0
    world: int = 1

    def number(self, step: int, purpose: int = 0) -> int:
        """Return the seed of this process for ``step``; another ``purpose`` gives an unrelated one."""
        return int(np.random.SeedSequence((self.seed, self.rank, step, purpose)).generate_state(1, np.uint64)[0] >> 1)

    def generator(self, step: int) -> torch.Generator:
        """Return the generator that ``step`` draws its windows from."""
        return torch.Generator().manual_seed(self.number(step))


class WindowSource(Protocol):
    """Where windows come from."""

    windows: int  # in an epoch

    def draw(self, step: int, size: int, share: ProcessShare) -> Batch:
        """Return this process's share of the ``size`` windows of ``step``; a pure function of its arguments."""


def mirror_batch(batch: Batch, mirrored: Tensor) -> Batch:
    """Mirror the windows where ``mirrored (B,)`` is true: x negated, left and right exchanged, in the camera too."""
    side = mirrored[:, None, None, None]
    flip_x = torch.tensor([-1.0, 1.0, 1.0], device=side.device)
    return Batch(
        torch.where(side, mirror(batch.keypoints), batch.keypoints),
        torch.where(side, mirror(batch.joints_m), batch.joints_m),
        torch.where(mirrored[:, None, None], batch.root_m * flip_x, batch.root_m),
        torch.where(mirrored[:, None], batch.intrinsics * MIRRORED_CAMERA.to(side.device), batch.intrinsics),
    )


def mirror(points: Tensor) -> Tensor:
    """Negate the first coordinate of ``(..., 17, C)`` and exchange left and right."""
    return points[..., MIRROR, :] * torch.tensor([-1.0] + [1.0] * (points.shape[-1] - 1), device=points.device)
