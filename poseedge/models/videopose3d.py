"""VideoPose3D (Pavllo et al., CVPR 2019, arXiv 1811.11742): convolutions over time, all joints of a frame as channels.

No padding anywhere: a window of ``frames = w_0 w_1 .. w_n`` frames gives one pose, a longer sequence one more for each frame
beyond that. A causal network shows the last frame of its window, any other the centre. Nothing in the weights tells which.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.errors import PoseedgeError
from poseedge.models.network import LiftingNetwork, Shapes, in_order
from poseedge.models.registry import register
from poseedge.skeleton import NUM_JOINTS

DROPOUT = 0.25
DEFAULT_WIDTHS = (3, 3, 3, 3, 3)


@register("videopose3d")
class VideoPose3D(LiftingNetwork):
    """``(B, T, 17, 2)`` to ``(B, T - frames + 1, 17, 3)``; ``strided``: to ``(B, T / frames, 17, 3)``, of disjoint windows.

    Both forms hold the same weights, and give the same pose of one window, for which the strided one needs a fifteenth of
    the work: it computes only the frames that the pose depends on. ``lift`` takes that form whatever ``strided`` says.
    """

    assumed = ("causal",)

    def __init__(
        self,
        filter_widths: list[int] | tuple[int, ...] = DEFAULT_WIDTHS,
        channels: int = 1024,
        causal: bool = False,
        n_joints: int = NUM_JOINTS,
        in_features: int = 2,
        out_joints: int = NUM_JOINTS,
        dense: bool = False,
        strided: bool = False,
    ) -> None:
        super().__init__()
        if dense:
            raise PoseedgeError("videopose3d with dense convolutions is not supported", "it was an ablation: dense = false")
        if not filter_widths or any(width < 1 or width % 2 == 0 for width in filter_widths):
            raise PoseedgeError(f"videopose3d needs odd filter_widths, not {list(filter_widths)}", "the default is 3,3,3,3,3")
        self.widths, self.causal, self.strided = list(filter_widths), causal, strided
        self.in_channels, self.out_joints = in_features, out_joints
        self.frames = math.prod(self.widths)
        first, *others = self.widths
        self.expand_bn = nn.BatchNorm1d(channels)
        self.shrink = nn.Conv1d(channels, 3 * out_joints, kernel_size=1)
        self.expand_conv = nn.Conv1d(in_features * n_joints, channels, first, bias=False)
        kernels = [kernel for width in others for kernel in (width, 1)]
        self.layers_conv = nn.ModuleList(nn.Conv1d(channels, channels, kernel, bias=False) for kernel in kernels)
        self.layers_bn = nn.ModuleList(nn.BatchNorm1d(channels) for _ in kernels)
        self.drop = nn.Dropout(DROPOUT)

    @property
    def output_frames(self) -> tuple[int, ...]:
        return (self.frames - 1 if self.causal else (self.frames - 1) // 2,)

    def tap(self, width: int) -> int:
        """Return which frame under a filter the shortcut around it takes."""
        return width - 1 if self.causal else width // 2

    def forward(self, x: Tensor) -> Tensor:
        return self.poses(x, self.strided)

    def lift(self, x: Tensor) -> Tensor:
        return self.poses(x, strided=True)

    def supervised(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [in_order(self.lift(x))]

    def poses(self, x: Tensor, strided: bool) -> Tensor:
        """Run either form on ``(B, T, 17, C)``."""
        *_, last = self.stages(x.flatten(2).transpose(1, 2), strided)
        return self.shrink(last).transpose(1, 2).unflatten(2, (self.out_joints, 3))

    def stages(self, x: Tensor, strided: bool) -> Iterator[Tensor]:
        """Yield the features ``(B, channels, frames left)`` behind the first layer and behind each block."""
        x = self.active(convolve(x, self.expand_conv, stride=self.widths[0] if strided else 1), self.expand_bn)
        yield x
        spread = self.widths[0]  # how many input frames lie between two that a filter of the dilated form reads
        for i, width in enumerate(self.widths[1:]):
            stride, dilation = (width, 1) if strided else (1, spread)
            y = self.active(convolve(x, self.layers_conv[2 * i], stride, dilation), self.layers_bn[2 * i])
            y = self.active(convolve(y, self.layers_conv[2 * i + 1]), self.layers_bn[2 * i + 1])
            x = x[..., self.tap(width) * dilation :: stride][..., : y.shape[-1]] + y
            yield x
            spread *= width

    def active(self, x: Tensor, norm: nn.Module) -> Tensor:
        return self.drop(F.relu(norm(x)))

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Tell widths and sizes; ``causal`` and the form leave no trace and take their defaults."""
        if not {"expand_conv.weight", "expand_bn.weight", "shrink.weight"} <= shapes.keys():
            return None
        channels, inputs, first = shapes["expand_conv.weight"]
        blocks = sum(key.startswith("layers_conv.") for key in shapes) // 2
        joints = NUM_JOINTS if inputs % NUM_JOINTS == 0 else inputs // 2
        return {
            "filter_widths": [first, *(shapes[f"layers_conv.{2 * i}.weight"][2] for i in range(blocks))],
            "channels": channels,
            "n_joints": joints,
            "in_features": inputs // joints,
            "out_joints": shapes["shrink.weight"][0] // 3,
        }


def convolve(x: Tensor, conv: nn.Module, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolve with the weights of ``conv``, in the form that is wanted."""
    assert isinstance(conv, nn.Conv1d)
    return F.conv1d(x, conv.weight, stride=stride, dilation=dilation)
