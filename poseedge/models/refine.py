"""The refinement that HTNet, GraphMLP and the Strided Transformer share (after Cai et al., ICCV 2019).

A lifted pose is joined with the back-projection of its own 2D keypoints. The latter needs the camera and the true
depth of the root, so it serves where those are known.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from poseedge.models.network import Network, Shapes

# A pose has three coordinates, of which x and y are blended.
COORDINATES, BLENDED = 3, 2


def back_project(keypoints: Tensor, pose: Tensor, root_depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Return the pose ``(B, K, 17, 3)`` that puts each joint on its viewing ray at its lifted depth, metres from the root.

    ``keypoints`` ``(B, K, 17, 2)`` normalized screen coordinates, ``pose`` ``(B, K, 17, 3)`` metres from the root,
    ``root_depth`` ``(B, K)`` absolute metres, ``intrinsics`` ``(B, 9)`` normalized; lens distortion is ignored.
    """
    focal, center = intrinsics[:, None, None, 0:2], intrinsics[:, None, None, 2:4]
    from_root = torch.cat([torch.zeros_like(pose[:, :, :1, 2:]), pose[:, :, 1:, 2:]], dim=2)
    depth = from_root + root_depth[:, :, None, None]  # (B, K, 17, 1)
    points = torch.cat([(keypoints - center) * depth / focal, depth], dim=-1)
    return points - points[:, :, :1]


class RefineSizes(NamedTuple):
    """What the shapes of a refine module's state dict tell."""

    n_joints: int
    hidden: int


class RefineNetwork(Network):
    """A gate per joint blends x and y of a lifted pose with those of its back-projection; depth stays as lifted."""

    def __init__(self, n_joints: int, hidden: int, blended: int = BLENDED, coordinates: int = COORDINATES) -> None:
        super().__init__()
        self.blended = blended
        self.post_refine = nn.Sequential(
            nn.Linear(2 * coordinates * n_joints, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, blended * n_joints),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor, x_1: Tensor) -> Tensor:
        """Blend the lifted pose ``x`` with the back-projected ``x_1``, ``(B, 1, 17, 3)`` each."""
        lifted, depth = x[..., : self.blended], x[..., self.blended :]
        projected = x_1[..., : self.blended]
        gate = self.post_refine(torch.cat([x, x_1], dim=-1).flatten(1)).reshape(lifted.shape)
        return torch.cat([gate * lifted + (1 - gate) * projected, depth], dim=-1)

    @staticmethod
    def sizes(shapes: Shapes) -> RefineSizes | None:
        """Return the sizes of a refine module with two of three coordinates blended, or None if it is none."""
        if set(shapes) != {f"post_refine.{layer}.{kind}" for layer in (0, 3) for kind in ("weight", "bias")}:
            return None
        n_joints, hidden = shapes["post_refine.3.weight"][0] // BLENDED, shapes["post_refine.0.weight"][0]
        return RefineSizes(n_joints, hidden) if shapes["post_refine.0.weight"][1] == 2 * COORDINATES * n_joints else None
