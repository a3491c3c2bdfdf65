"""VideoPose3D folded: its strided form as matrix products over frames, batch norms inside them, no convolution.

The frames under a filter are one row of features, so that a strided convolution is a reshape and a product, and its
shortcut a slice of that row.

The streaming form is the same products on one row each: a layer finds the frames that its filter reads in a cache of what
it has read before, so that a frame costs what it adds, not what its window costs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from poseedge.caches import CACHE, PAST
from poseedge.fold.algebra import Dense, batch_norm_affine, double
from poseedge.fold.registry import differentiable_fold, streaming_form
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


class StreamedVideoPose3D(FoldedVideoPose3D):
    """The next frame ``(1, 1, 17, 2)`` and the caches to the pose ``(1, 1, 17, 3)`` of the window that it ends, and new caches.

    ``caches``: by name, rows and columns of each. A cache holds the features that a layer has read, the newest in its last
    row: one row fewer than its dilated filter spans. Layers that read one frame have none.
    """

    def __init__(self, network: VideoPose3D) -> None:
        super().__init__(network, free_batch=False)
        self.spread = [math.prod(network.widths[:i]) for i in range(len(network.widths))]  # frames from tap to tap
        features = [self.inputs] + [self.channels] * len(self.wide)
        sizes = zip(self.widths, self.spread, features, strict=True)
        names = {i: f"{CACHE}{i}" if i else PAST for i in range(len(self.widths))}
        self.caches = {names[i]: ((width - 1) * spread, size) for i, (width, spread, size) in enumerate(sizes) if width > 1}

    def forward(self, keypoints: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        before, after = iter(caches), []
        x = keypoints.reshape(1, self.inputs)
        layers = [None, *zip(self.wide, self.pointwise, strict=True)]
        for width, spread, tap, layer in zip(self.widths, self.spread, self.taps, layers, strict=True):
            row, size = x, x.shape[-1]
            if width > 1:
                cache = next(before)
                after.append(torch.cat([cache[1:], x]))
                row = torch.cat([cache[::spread].reshape(1, (width - 1) * size), x], dim=-1)
            if layer is None:
                x = torch.relu(self.expand(row))
            else:
                wide, pointwise = layer
                x = row[:, tap * size : (tap + 1) * size] + torch.relu(pointwise(torch.relu(wide(row))))
        return self.shrink(x).reshape(1, 1, self.joints, 3), *after


def normed(conv: nn.Module, norm: nn.Module) -> Dense:
    """Return a convolution and its batch norm in evaluation as one product with a row of ``width`` frames' features."""
    assert isinstance(conv, nn.Conv1d)
    scale, shift = batch_norm_affine(norm)
    weight = double(conv.weight) * scale[:, None, None]  # (out, in, width)
    return Dense(weight.permute(2, 1, 0).flatten(0, 1), shift)


@differentiable_fold.register
def _(network: VideoPose3D, free_batch: bool = False) -> nn.Module:
    return FoldedVideoPose3D(network, free_batch).eval()


@streaming_form.register
def _(network: VideoPose3D) -> nn.Module | None:
    return StreamedVideoPose3D(network).eval() if network.frames > 1 else None
