"""The Hourglass Tokenizer (Li et al., CVPR 2024, arXiv 2311.12028): fewer frames in the middle of a transformer.

Pruning keeps the frames that density peaks clustering finds representative; recovering brings all frames back by
cross-attention with learned queries. ``Hourglass`` does both, ``CenterPruning`` prunes for the centre pose alone;
either wraps any ``Backbone``. Unlike the published code, which breaks ties by noise, the choice is deterministic.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from poseedge.errors import PoseedgeError
from poseedge.models.layers import CrossAttention
from poseedge.models.network import LiftingNetwork


class Backbone(LiftingNetwork):
    """A lifting network that can be cut before any of its ``depth`` levels.

    Its stream is ``(B, F, ..., C)``: the frames stand on the second axis.
    """

    depth: int

    @property
    def output_frames(self) -> tuple[int, ...]:
        return tuple(range(self.frames))

    @property
    def supervised_frames(self) -> tuple[int, ...]:
        return tuple(range(self.frames))

    @abstractmethod
    def front(self, x: Tensor, level: int) -> Tensor:
        """Embed windows and run the levels before ``level``."""

    @abstractmethod
    def back(self, stream: Tensor, level: int) -> Tensor:
        """Run the levels from ``level`` on, and what closes the last."""

    @abstractmethod
    def regress(self, stream: Tensor) -> Tensor:
        """Return the poses ``(B, F, 17, 3)`` of a stream that ``back`` gave."""

    @abstractmethod
    def pooled(self, stream: Tensor) -> Tensor:
        """Return one vector per frame, ``(B, F, C)``: what pruning compares."""

    def forward(self, x: Tensor) -> Tensor:
        return self.regress(self.back(self.front(x, self.depth), self.depth))


class DensityPeaks(nn.Module):
    """Choose representative frames by density peaks clustering with nearest neighbours (DPC-kNN, Du et al. 2016).

    A frame is dense when its nearest neighbour is close, and scores high when it is dense and far from all denser
    frames. Frames that are each other's nearest neighbour are equally dense by construction: of equals, here and in
    the ranking of scores, the earlier goes first. Always float32, whatever the network runs in.

    ``paired`` is for a batch whose second half mirrors the first: it keeps the frames chosen for the first.
    """

    same: Tensor
    earlier: Tensor
    number: Tensor
    bonus: Tensor

    def __init__(self, frames: int, keep: int, keep_center: bool) -> None:
        super().__init__()
        self.frames, self.keep, self.paired = frames, keep, False
        bonus = torch.zeros(frames)
        bonus[(frames - 1) // 2] = 1e30 if keep_center else 0.0  # above any score
        self.register_buffer("same", torch.eye(frames), persistent=False)
        self.register_buffer("earlier", torch.ones(frames, frames).tril(-1).bool(), persistent=False)  # [i, j]: j < i
        self.register_buffer("number", torch.arange(frames, dtype=torch.float32), persistent=False)
        self.register_buffer("bonus", bonus, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return the kept frames ``(B, keep)`` of ``features (B, F, C)``, ascending, int64."""
        if self.paired:
            features = features.chunk(2)[0]
        with in_float32(features.device.type):
            score = self.score(features.float()) + self.bonus
        rank = self.precedes(-score).float().sum(dim=-1)
        # Frame numbers, those of dropped frames raised above all others: distinct keys leave TopK no tie to break.
        key = torch.where(rank < self.keep, self.number, self.number + self.frames)
        index = key.topk(self.keep, largest=False).indices
        return torch.cat([index, index]) if self.paired else index

    def score(self, features: Tensor) -> Tensor:
        """Return ``(density * distance to the nearest denser frame) ** 2``, ``(B, F)``."""
        distance = self.squared_distance(features)
        nearest = (distance + 1e4 * self.same).amin(dim=-1)  # of the others
        denser = self.precedes(nearest)
        farthest = distance.amax(dim=(1, 2), keepdim=True)  # for the densest frame
        return torch.where(denser, distance, farthest).amin(dim=-1) * torch.exp(-nearest)

    def squared_distance(self, features: Tensor) -> Tensor:
        """Return mean squared differences ``(B, F, F)``: bitwise symmetric, with an exactly zero diagonal."""
        x = features - features.mean(dim=1, keepdim=True)  # less cancellation
        gram = x @ x.transpose(1, 2)
        norm = (gram * self.same).sum(dim=-1)  # from the same product, so that rounding cancels between like frames
        distance = (norm[:, :, None] + norm[:, None, :] - 2 * gram).relu()
        return torch.maximum(distance, distance.transpose(1, 2)) / x.shape[-1] * (1 - self.same)

    def precedes(self, key: Tensor) -> Tensor:
        """Return ``(B, F, F)``, true at ``[i, j]`` where frame j has the smaller key, or an equal one and is earlier."""
        own, other = key[:, :, None], key[:, None, :]
        return (other < own) | ((other == own) & self.earlier)


def in_float32(device: str) -> AbstractContextManager[Any]:
    """Switch autocast off; the meta device, on which FLOPs are counted, knows none."""
    return nullcontext() if device == "meta" else torch.autocast(device, enabled=False)


def take(stream: Tensor, index: Tensor) -> Tensor:
    """Return the frames ``index (B, T)`` of ``stream (B, F, ...)``: one Gather, whatever the batch."""
    batch, frames = stream.shape[:2]
    rows = index + frames * torch.arange(batch, device=index.device)[:, None]
    return stream.flatten(0, 1).index_select(0, rows.flatten()).reshape(batch, index.shape[1], *stream.shape[2:])


class PrunedNetwork(Backbone):
    """A backbone of which some frames alone go through the levels from ``level`` on.

    Where a method takes ``index (B, T)``, it uses those frames and chooses none.
    """

    level: int
    pruning: DensityPeaks | None

    def prune(self, layer_index: int, levels: range, token_num: int, keep_center: bool) -> None:
        """Prune to ``token_num`` frames before level ``layer_index``; if that is none of ``levels``, never."""
        least = 2 if keep_center else 1
        if not least <= token_num <= self.frames:
            raise PoseedgeError(f"token_num={token_num} must lie between {least} and the window's {self.frames} frames")
        if not 0 <= layer_index <= self.depth:
            raise PoseedgeError(f"layer_index={layer_index} must lie between 0 and {self.depth}", "the last one prunes nothing")
        prunes = layer_index in levels
        self.level = layer_index if prunes else self.depth
        self.pruning = DensityPeaks(self.frames, token_num, keep_center) if prunes else None

    def select(self, x: Tensor) -> Tensor:
        """Return the frames that are kept of windows ``x``: ``(B, T)`` int64, ascending."""
        return self.choose(self.front(x, self.level))

    def choose(self, stream: Tensor) -> Tensor:
        """Return the frames that are kept of the stream at the cut."""
        if self.pruning is None:
            return torch.arange(self.frames, device=stream.device).expand(stream.shape[0], -1)
        return self.pruning(self.pooled(stream.float()))

    def kept(self, x: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the stream of the kept frames at the cut, and their numbers."""
        stream = self.front(x, self.level)
        if index is None:
            index = self.choose(stream)
        return take(stream, index), index


class Hourglass(PrunedNetwork):
    """Prune, then recover: all frames come out (HoT). In flip testing the mirrored pass makes its own selection."""

    pos_embed_token: nn.Parameter
    x_token: nn.Parameter
    cross_attention: CrossAttention

    def tokenize(self, layer_index: int, levels: range, token_num: int, width: int, heads: int) -> None:
        """Add pruning and recovering, with their parameters."""
        self.prune(layer_index, levels, token_num, keep_center=False)
        self.pos_embed_token = nn.Parameter(torch.zeros(1, token_num, width))
        self.x_token = nn.Parameter(torch.zeros(1, self.frames, width))
        self.cross_attention = CrossAttention(width, heads)

    def forward(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        tokens, _ = self.kept(x, index)  # (B, T, 17, C)
        if self.pruning is not None:
            tokens = tokens + self.pos_embed_token[:, :, None]
        return self.regress(self.recover(self.back(tokens, self.level)))

    def recover(self, tokens: Tensor) -> Tensor:
        """Bring ``(B, T, 17, C)`` back to all frames: token recovering attention."""
        queries = self.x_token[:, :, None].expand(-1, -1, tokens.shape[2], -1)
        return queries + self.cross_attention(queries, tokens, tokens)


class CenterPruning(PrunedNetwork):
    """Prune for the pose of the window's centre frame, which is always kept (TPC).

    ``forward`` gives the poses of all kept frames, ``(B, T, 17, 3)``; which frames those are depends on the input, and
    ``select`` tells. ``lift`` gives ``center_pose``, and ``output_frames`` describes that. In flip testing the mirrored
    pass takes the ``index`` of the first one.
    """

    @property
    def output_frames(self) -> tuple[int, ...]:
        return ((self.frames - 1) // 2,)

    @property
    def shares_selection(self) -> bool:
        return self.pruning is not None

    def forward(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        tokens, _ = self.kept(x, index)
        return self.regress(self.back(tokens, self.level))

    def lift(self, x: Tensor) -> Tensor:
        return self.center_pose(x)

    def supervised(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        tokens, index = self.kept(x, None)
        return [(self.regress(self.back(tokens, self.level)), index)]

    def center_pose(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        """Return the centre frame's pose, ``(B, 1, 17, 3)``; a given ``index`` must hold that frame."""
        tokens, index = self.kept(x, index)
        is_center = (index == self.output_frames[0]).long()
        slot = (is_center * torch.arange(index.shape[1], device=index.device)).sum(dim=1, keepdim=True)
        return self.regress(take(self.back(tokens, self.level), slot))
