"""Strided Transformer folded: matrix products over frames, no convolution, no batch norm, no training head.

A strided layer computes queries, and all that follows them, only for the frames that its convolution reads; keys and
values need every frame. What the last layer adds goes straight through the head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.errors import PoseedgeError
from poseedge.fold.algebra import Dense, attend, attend_to, batch_axes, batch_norm_affine, constant, double
from poseedge.fold.registry import differentiable_fold
from poseedge.models.strided_transformer import (
    HEADS,
    EncoderLayer,
    FeedForward,
    FrameAttention,
    StdNorm,
    StridedEncoder,
    StridedFeedForward,
    StridedTransformer,
)

STD_NORM_EPS = 1e-6


class Direction(nn.Module):
    """StdNorm without its affine and its factor ``sqrt(C - 1)``: the centred token over its length."""

    def __init__(self, norm: StdNorm) -> None:
        super().__init__()
        self.eps = constant(torch.tensor(STD_NORM_EPS * math.sqrt(len(norm.a_2) - 1)))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        return centred / (torch.linalg.vector_norm(centred, dim=-1, keepdim=True) + self.eps)


def after_direction(norm: StdNorm, layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight ``(in, out)`` and bias of ``layer`` when it reads ``Direction`` in place of ``norm``."""
    weight, bias = matrix(layer)
    return (double(norm.a_2) * math.sqrt(len(norm.a_2) - 1))[:, None] * weight, bias + double(norm.b_2) @ weight


def matrix(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight ``(in, out)`` and bias of a Linear or a pointwise convolution."""
    assert isinstance(layer, (nn.Linear, nn.Conv1d))
    assert layer.bias is not None
    return double(layer.weight).flatten(1).T, double(layer.bias)


class Frames(nn.Module):
    """Selects from the last but one axis: by a slice where that is enough, and not at all where it is all of them."""

    index: Tensor

    def __init__(self, frames: Sequence[int]) -> None:
        super().__init__()
        self.frames = list(frames)
        self.register_buffer("index", torch.tensor(self.frames), persistent=False)  # as numbers, no CUDA graph takes it

    def forward(self, x: Tensor) -> Tensor:
        if self.frames == list(range(x.shape[-2])):
            return x
        step = self.frames[1] - self.frames[0] if len(self.frames) > 1 else 1
        span = range(self.frames[0], self.frames[-1] + 1, max(step, 1))
        if self.frames == list(span):
            return x[..., span.start : span.stop : span.step, :]
        return x[..., self.index, :]


class FoldedFrameAttention(nn.Module):
    """Attention of the frames ``queries`` to all frames, all by default; scale and biases as in ``attention_maps``."""

    def __init__(self, norm: StdNorm, attention: FrameAttention, queries: Sequence[int] | None = None) -> None:
        super().__init__()
        self.queries = None if queries is None else Frames(queries)
        *inputs, output = attention.linears
        (query, query_bias), (key, _), (value, value_bias) = (after_direction(norm, linear) for linear in inputs)
        scale = (len(query) // HEADS) ** -0.5
        none = torch.zeros_like(query_bias)
        if queries is None:
            self.qkv = Dense(torch.cat([query * scale, key, value], dim=1), torch.cat([query_bias * scale, none, none]))
        else:
            self.query = Dense(query * scale, query_bias * scale)
            self.key_value = Dense(torch.cat([key, value], dim=1), None)
        projection, bias = matrix(output)
        self.proj = Dense(projection, bias + value_bias @ projection)

    def forward(self, x: Tensor) -> Tensor:
        if self.queries is None:
            return self.proj(attend(self.qkv(x), HEADS))
        return self.proj(attend_to(self.query(self.queries(x)), self.key_value(x), HEADS))


class FoldedEncoderLayer(nn.Module):
    """A layer of the VTE; ``shift`` is what the next one adds to its input."""

    def __init__(self, layer: EncoderLayer, shift: Tensor) -> None:
        super().__init__()
        before, between = norms(layer)
        assert isinstance(layer.feed_forward, FeedForward)
        self.norm1, self.norm2 = Direction(before), Direction(between)
        self.attention = FoldedFrameAttention(before, layer.self_attn)
        self.w_1 = Dense(*after_direction(between, layer.feed_forward.w_1))
        weight, bias = matrix(layer.feed_forward.w_2)
        self.w_2 = Dense(weight, bias + shift)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.w_2(F.relu(self.w_1(self.norm2(x))))


@dataclass(frozen=True)
class StridePlan:
    """Which frames a convolution of kernel 3, stride ``stride`` and padding 1 reads of ``frames``."""

    frames: int
    stride: int

    @property
    def outputs(self) -> range:
        """The frame in the middle of each output's window, which the shortcut keeps."""
        return range(0, self.frames, self.stride)

    @property
    def taps(self) -> list[int]:
        """Those of the three taps that meet a frame at some output; a single output has only padding before it."""
        return [tap for tap in range(3) if any(0 <= middle + tap - 1 < self.frames for middle in self.outputs)]

    @property
    def windows(self) -> list[int]:
        """The frames under the taps, output by output; those outside ``range(frames)`` are padding."""
        return [middle + tap - 1 for middle in self.outputs for tap in self.taps]

    @property
    def read(self) -> list[int]:
        """The frames that some output reads."""
        return sorted(set(self.windows) & set(range(self.frames)))

    @property
    def padding(self) -> tuple[int, int]:
        """Rows of zeros before and after the frames read."""
        return int(min(self.windows) < 0), int(max(self.windows) >= self.frames)


class FoldedStridedLayer(nn.Module):
    """A layer of the STE: ``(..., L, C)`` to ``(..., ceil(L / stride), C)``, or to poses if it is given the ``head``."""

    def __init__(self, layer: EncoderLayer, plan: StridePlan, shift: Tensor, head: tuple[Tensor, Tensor] | None) -> None:
        super().__init__()
        before, between = norms(layer)
        assert isinstance(layer.feed_forward, StridedFeedForward)
        self.norm1, self.norm2 = Direction(before), Direction(between)
        self.read, self.padding = Frames(plan.read), plan.padding
        self.kept = Frames([plan.read.index(frame) for frame in plan.outputs])
        rows = [*[-1] * self.padding[0], *plan.read, *[plan.frames] * self.padding[1]]
        self.windows = Frames([rows.index(frame) for frame in plan.windows])
        self.outputs = len(plan.outputs)

        self.attention = FoldedFrameAttention(before, layer.self_attn, plan.read)
        self.w_1 = Dense(*after_direction(between, layer.feed_forward.w_1))
        convolution = layer.feed_forward.w_2
        assert convolution.bias is not None
        weight = double(convolution.weight).permute(2, 1, 0)[plan.taps].flatten(0, 1)  # (taps * H, C)
        bias = double(convolution.bias) + shift
        self.head: Dense | None = None
        if head is not None:
            weight, bias = weight @ head[0], bias @ head[0] + head[1]
            self.head = Dense(head[0], None)
        self.w_2 = Dense(weight, bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.read(x) + self.attention(self.norm1(x))
        hidden = F.pad(F.relu(self.w_1(self.norm2(x))), (0, 0, *self.padding), value=0.0)
        windows = self.windows(hidden).reshape(*batch_axes(x), self.outputs, len(self.w_2.weight))
        kept = self.kept(x)
        return self.w_2(windows) + (kept if self.head is None else self.head(kept))


def norms(layer: EncoderLayer) -> tuple[StdNorm, StdNorm]:
    """Return the norms before attention and before the feed-forward part."""
    before, between = (sublayer.norm for sublayer in layer.sublayer)
    assert isinstance(before, StdNorm)
    assert isinstance(between, StdNorm)
    return before, between


class FoldedStridedTransformer(nn.Module):
    """``(1, F, 17, 2)``, or ``(B, F, 17, 2)`` with ``free_batch``, to ``(B, tokens, 17, 3)``.

    Position embeddings are part of the bias before them; only the first must stay, since ReLU stands in between.
    """

    def __init__(self, network: StridedTransformer, free_batch: bool) -> None:
        super().__init__()
        self.lead = (-1,) if free_batch else ()
        self.frames, self.joints, self.tokens = network.frames, network.n_joints, network.tokens
        strided = network.Transformer_reduce.model
        assert isinstance(strided, StridedEncoder)
        vanilla = network.Transformer.model.layers
        shifts = position_shifts(network, len(vanilla), strided)

        weight, bias = matrix(network.encoder[0])
        scale, shift = batch_norm_affine(network.encoder[1])
        self.embed = Dense(weight * scale, bias * scale + shift)
        self.positions = constant(shifts[0])
        self.vanilla = nn.ModuleList(
            FoldedEncoderLayer(layer, shift)  # type: ignore[arg-type]
            for layer, shift in zip(vanilla, shifts[1:], strict=False)
        )
        self.strided = nn.ModuleList(strided_layers(strided, shifts[len(vanilla) + 1 :], merged_head(network.fcn)))

    def forward(self, keypoints: Tensor) -> Tensor:
        rows = keypoints.reshape(*self.lead, self.frames, 2 * self.joints)
        x = F.relu(self.embed(rows)) + self.positions  # (..., F, C)
        for layer in self.vanilla:
            x = layer(x)
        for layer in self.strided:
            x = layer(x)
        return x.reshape(-1, self.tokens, self.joints, 3)


def position_shifts(network: StridedTransformer, vanilla: int, strided: StridedEncoder) -> list[Tensor]:
    """Return what is added to the input of every layer, then to the output of the last: ``(L, C)``, or ``(C,)`` zeros."""
    channel = network.Transformer.pos_embedding.shape[-1]
    shifts = [torch.zeros(channel, dtype=torch.float64) for _ in range(vanilla + len(strided.layers) + 1)]
    shifts[0] = double(network.Transformer.pos_embedding[0])
    embeddings = (strided.pos_embedding_1, strided.pos_embedding_2, strided.pos_embedding_3)
    for i, (embedding, length) in enumerate(zip(embeddings, strided.lengths[:-1], strict=False)):
        shifts[vanilla + i] = shifts[vanilla + i] + double(embedding[0, :length])
    return shifts


def strided_layers(encoder: StridedEncoder, shifts: list[Tensor], head: tuple[Tensor, Tensor]) -> list[FoldedStridedLayer]:
    """Fold the STE; its last layer gets the head."""
    if not len(encoder.layers):
        raise PoseedgeError("a strided_transformer without strided layers has no folded form", "give it strides: stride_num")
    layers = []
    for layer, length, shift in zip(encoder.layers, encoder.lengths[:-1], shifts, strict=True):
        assert isinstance(layer, EncoderLayer)
        stride = layer.sublayer[1].stride
        assert isinstance(stride, int)
        plan = StridePlan(length, stride)
        layers.append(FoldedStridedLayer(layer, plan, shift, head if layer is encoder.layers[-1] else None))
    return layers


def merged_head(head: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Return weight ``(C, 3 * joints)`` and bias of batch norm and convolution."""
    scale, shift = batch_norm_affine(head[0])
    weight, bias = matrix(head[1])
    return scale[:, None] * weight, shift @ weight + bias


@differentiable_fold.register
def _(network: StridedTransformer, free_batch: bool = False) -> nn.Module:
    return FoldedStridedTransformer(network, free_batch).eval()
