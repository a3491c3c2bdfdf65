"""VideoPose3D folded: its strided form as matrix products over frames, batch norms inside them, no convolution.

The frames under a filter are one row of features, so that a strided convolution is a reshape and a product, and its
shortcut a slice of that row.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from poseedge.fold.algebra import Dense, batch_norm_affine, double
from poseedge.fold.registry import differentiable_fold
from poseedge.models.videopose3d import VideoPose3D


class FoldedVideoPose3D(nn.Module):
    """``(B, frames, 17, 2)`` to ``(B, 1, 17, 3)``."""

    def __init__(self, network: VideoPose3D, free_batch: bool) -> None:
        super().__init__()
        self.lead = (-1,) if free_batch else ()
        first, self.joints = network.expand_conv, network.out_joints
        self.inputs, self.channels = first.in_channels, first.out_channels  # features of one frame
        self.widths, self.taps = network.widths, [network.tap(width) for width in network.widths]
        self.rows = [network.frames // math.prod(network.widths[: i + 1]) for i in range(len(network.widths))]
        self.expand = normed(first, network.expand_bn)
        layers = [normed(*pair) for pair in zip(network.layers_conv, network.layers_bn, strict=True)]
        self.wide, self.pointwise = nn.ModuleList(layers[::2]), nn.ModuleList(layers[1::2])
        assert network.shrink.bias is not None
        self.shrink = Dense(double(network.shrink.weight)[..., 0].T, double(network.shrink.bias))

    def forward(self, keypoints: Tensor) -> Tensor:
        x = torch.relu(self.expand(keypoints.reshape(*self.lead, self.rows[0], self.widths[0] * self.inputs)))
        channels = self.channels
        for i, (wide, pointwise) in enumerate(zip(self.wide, self.pointwise, strict=True), start=1):
            x = x.reshape(*self.lead, self.rows[i], self.widths[i] * channels)
            y = torch.relu(pointwise(torch.relu(wide(x))))
            x = x[..., self.taps[i] * channels : (self.taps[i] + 1) * channels] + y
        return self.shrink(x).reshape(-1, 1, self.joints, 3)


def normed(conv: nn.Module, norm: nn.Module) -> Dense:
    """Return a convolution and its batch norm in evaluation as one product with a row of ``width`` frames' features."""
    assert isinstance(conv, nn.Conv1d)
    scale, shift = batch_norm_affine(norm)
    weight = double(conv.weight) * scale[:, None, None]  # (out, in, width)
    return Dense(weight.permute(2, 1, 0).flatten(0, 1), shift)


@differentiable_fold.register
def _(network: VideoPose3D, free_batch: bool = False) -> nn.Module:
    return FoldedVideoPose3D(network, free_batch).eval()
