"""Strided Transformer (Li et al., IEEE TMM 2023, arXiv 2103.14304): a window in, its centre frame out.

A plain transformer over frames (VTE), then one whose feed-forward convolutions have a stride (STE), so that the
sequence shrinks to one token. In training, a second head reads a pose for every frame off the VTE.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.errors import PoseedgeError
from poseedge.models.network import LiftingNetwork, Shapes, in_order
from poseedge.models.refine import RefineNetwork
from poseedge.models.registry import register
from poseedge.skeleton import NUM_JOINTS

HEADS = 8
DROPOUT = 0.1
REFINE_HIDDEN = 1024
DEFAULT_STRIDES = (3, 9, 13)


class StdNorm(nn.Module):
    """Norm by the unbiased standard deviation, with eps added to it; close to a LayerNorm, but not equal."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.a_2 = nn.Parameter(torch.ones(channel))
        self.b_2 = nn.Parameter(torch.zeros(channel))

    def forward(self, x: Tensor) -> Tensor:
        mean, std = x.mean(dim=-1, keepdim=True), x.std(dim=-1, keepdim=True)
        return self.a_2 * (x - mean) / (std + 1e-6) + self.b_2


class FrameAttention(nn.Module):
    """Multi-head self-attention over frames; the linears are query, key, value and output."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(channel, channel) for _ in range(4))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, channel = x.shape
        width = channel // HEADS
        *inputs, output = self.linears
        q, k, v = (linear(x).reshape(batch, frames, HEADS, width).transpose(1, 2) for linear in inputs)
        weights = self.dropout((q @ k.transpose(-2, -1) / width**0.5).softmax(dim=-1))  # (B, heads, F, F)
        return output((weights @ v).transpose(1, 2).reshape(batch, frames, channel))


class FeedForward(nn.Module):
    """Frame by frame: linear, ReLU, linear."""

    def __init__(self, channel: int, hidden: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(channel, hidden)
        self.w_2 = nn.Linear(hidden, channel)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(self.dropout(F.relu(self.w_1(x))))


class StridedFeedForward(nn.Module):
    """Pointwise convolution, ReLU, then a strided convolution over three frames: ``L`` frames to ``ceil(L / stride)``."""

    def __init__(self, channel: int, hidden: int, stride: int) -> None:
        super().__init__()
        self.w_1 = nn.Conv1d(channel, hidden, kernel_size=1)
        self.w_2 = nn.Conv1d(hidden, channel, kernel_size=3, stride=stride, padding=1)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(self.dropout(F.relu(self.w_1(x.transpose(1, 2))))).transpose(1, 2)


class Residual(nn.Module):
    """A normalised branch around which a shortcut keeps every ``stride``-th frame, from the first on."""

    def __init__(self, channel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.norm = StdNorm(channel)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, branch: nn.Module) -> Tensor:
        shortcut = x if self.stride == 1 else x[:, :: self.stride]
        return shortcut + self.dropout(branch(self.norm(x)))


class EncoderLayer(nn.Module):
    """Attention, then the feed-forward part, which takes ``stride`` frames to one."""

    def __init__(self, channel: int, feed_forward: nn.Module, stride: int = 1) -> None:
        super().__init__()
        self.self_attn = FrameAttention(channel)
        self.feed_forward = feed_forward
        self.sublayer = nn.ModuleList([Residual(channel), Residual(channel, stride)])

    def forward(self, x: Tensor) -> Tensor:
        attend, feed = self.sublayer
        return feed(attend(x, self.self_attn), self.feed_forward)


class Encoder(nn.Module):
    """The VTE's layers."""

    def __init__(self, channel: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(channel, FeedForward(channel, hidden)) for _ in range(layers))
        self.norm = StdNorm(channel)  # in every published file, never applied

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class StridedEncoder(nn.Module):
    """The STE's layers; only the first three have a position embedding, and read its first positions."""

    def __init__(self, frames: int, channel: int, hidden: int, strides: list[int]) -> None:
        super().__init__()
        self.lengths = sequence_lengths(frames, strides)
        self.pos_embedding_1 = nn.Parameter(torch.randn(1, frames, channel))
        self.pos_embedding_2 = nn.Parameter(torch.randn(1, frames, channel))
        self.pos_embedding_3 = nn.Parameter(torch.randn(1, frames, channel))
        self.layers = nn.ModuleList(
            EncoderLayer(channel, StridedFeedForward(channel, hidden, stride), stride) for stride in strides
        )
        self.norm = StdNorm(channel)  # in every published file, never applied

    def forward(self, x: Tensor) -> Tensor:
        positions = (self.pos_embedding_1, self.pos_embedding_2, self.pos_embedding_3)
        for i, layer in enumerate(self.layers):
            x = layer(x + positions[i][:, : self.lengths[i]] if i < len(positions) else x)
        return x


class VanillaTransformer(nn.Module):
    """VTE: position embedding and encoder."""

    def __init__(self, frames: int, channel: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.randn(1, frames, channel))
        self.model = Encoder(channel, hidden, layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + self.pos_embedding)


@register("strided_transformer")
class StridedTransformer(LiftingNetwork):
    """``(B, frames, 17, 2)`` to ``(B, 1, 17, 3)`` when the strides shrink the window to one token."""

    assumed = ("stride_num",)

    def __init__(
        self,
        frames: int = 351,
        layers: int = 3,
        channel: int = 256,
        d_hid: int = 512,
        n_joints: int = NUM_JOINTS,
        out_joints: int = NUM_JOINTS,
        stride_num: list[int] | tuple[int, ...] = DEFAULT_STRIDES,
    ) -> None:
        super().__init__()
        if n_joints != out_joints:
            raise PoseedgeError(f"strided_transformer gives the joints it gets, not {n_joints} -> {out_joints}")
        if channel % HEADS:
            raise PoseedgeError(f"strided_transformer needs a channel that is a multiple of 8, not {channel}")
        self.frames = frames
        self.n_joints = n_joints
        self.tokens = sequence_lengths(frames, list(stride_num))[-1]
        self.encoder = nn.Sequential(
            nn.Conv1d(2 * n_joints, channel, kernel_size=1), nn.BatchNorm1d(channel), nn.ReLU(), nn.Dropout(0.25)
        )
        self.Transformer = VanillaTransformer(frames, channel, d_hid, layers)
        strided = StridedEncoder(frames, channel, d_hid, list(stride_num))
        self.Transformer_reduce = nn.Sequential(OrderedDict(model=strided))  # one level down in the published keys
        self.fcn = pose_head(channel, out_joints)
        self.fcn_1 = pose_head(channel, out_joints)

    @property
    def output_frames(self) -> tuple[int, ...]:
        return ((self.frames - 1) // 2,) * self.tokens

    def forward(self, x: Tensor) -> Tensor:
        return self.poses(self.fcn, self.Transformer_reduce(self.encode(x)))

    @property
    def supervised_frames(self) -> tuple[int, ...]:
        return tuple(range(self.frames))

    def supervised(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        pose, sequence = self.forward_with_sequence(x)
        center = torch.tensor(self.output_frames, device=x.device)[None]
        return [(pose, center), in_order(sequence)]

    def forward_with_sequence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the centre pose and, for the training loss, the VTE's poses of all frames ``(B, frames, 17, 3)``."""
        encoded = self.encode(x)
        return self.poses(self.fcn, self.Transformer_reduce(encoded)), self.poses(self.fcn_1, encoded)

    def encode(self, x: Tensor) -> Tensor:
        """Embed each frame and run the VTE: ``(B, F, C)``."""
        features = self.encoder(x.flatten(2).transpose(1, 2))  # (B, C, F)
        return self.Transformer(features.transpose(1, 2))

    def poses(self, head: nn.Module, tokens: Tensor) -> Tensor:
        """Read a pose off each token: ``(B, L, C)`` to ``(B, L, 17, 3)``."""
        batch, length, _ = tokens.shape
        return head(tokens.transpose(1, 2)).transpose(1, 2).reshape(batch, length, self.n_joints, 3)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Tell all but the strides' values, which the weights do not hold; ``likely_strides`` supplies them."""
        first_layers = [f"{part}.model.layers.0.feed_forward.w_1.weight" for part in ("Transformer", "Transformer_reduce")]
        if not {"Transformer.pos_embedding", "fcn_1.1.weight", *first_layers} <= shapes.keys():
            return None
        _, frames, channel = shapes["Transformer.pos_embedding"]
        strided = sum(key.startswith("Transformer_reduce.") and key.endswith(".w_1.weight") for key in shapes)
        return {
            "frames": frames,
            "layers": sum(key.startswith("Transformer.") and key.endswith(".w_1.weight") for key in shapes),
            "channel": channel,
            "d_hid": shapes[first_layers[0]][0],
            "n_joints": shapes["encoder.0.weight"][1] // 2,
            "out_joints": shapes["fcn.1.weight"][0] // 3,
            "stride_num": likely_strides(frames, strided),
        }


@register("strided_transformer_refine")
class StridedTransformerRefine(RefineNetwork):
    """The Strided Transformer's refine module; same weights and result as ``htnet_refine``."""

    def __init__(self, n_joints: int = NUM_JOINTS, in_channels: int = 2, out_channels: int = 3) -> None:
        super().__init__(n_joints, REFINE_HIDDEN, blended=in_channels, coordinates=out_channels)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        sizes = cls.sizes(shapes)
        return {"n_joints": sizes.n_joints} if sizes and sizes.hidden == REFINE_HIDDEN else None


def pose_head(channel: int, joints: int) -> nn.Sequential:
    """Return a head from features ``(B, C, L)`` to coordinates ``(B, 3 * joints, L)``."""
    return nn.Sequential(nn.BatchNorm1d(channel), nn.Conv1d(channel, 3 * joints, kernel_size=1))


def sequence_lengths(frames: int, strides: list[int]) -> list[int]:
    """Return the number of frames before each strided layer and after the last."""
    lengths = [frames]
    for stride in strides:
        lengths.append(-(-lengths[-1] // stride))
    return lengths


def likely_strides(frames: int, layers: int) -> list[int]:
    """Return the rising factors of ``frames`` with the smallest last one: 3 3 3 for 27, 3 9 13 for 351, as published."""
    return min(rising_factors(frames, layers), key=lambda factors: factors[::-1])


def rising_factors(number: int, count: int, least: int = 1) -> Iterator[list[int]]:
    """Yield every way to write ``number`` as a product of ``count`` factors, none smaller than the one before."""
    if count == 1:
        yield from [[number]] if number >= least else []
        return
    for first in range(least, number + 1):
        if number % first == 0:
            yield from ([first, *rest] for rest in rising_factors(number // first, count - 1, first))
