"""The Hourglass Tokenizer folded: pruning to whole rows, recovering with constant queries."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from poseedge.fold.algebra import Dense, after_norm, constant, double
from poseedge.fold.attention import Affine, affine
from poseedge.models.pruning import Backbone, CenterPruning, DensityPeaks, Hourglass, PrunedNetwork, take


class Prune(nn.Module):
    """Rows of all frames to rows of the kept ones, ``(B * F * lanes, C)`` to ``(B * T * lanes, C)``, in ascending order.

    Where the network keeps the centre frame, that one comes first: attention does not care, and a fixed slot is free.
    """

    def __init__(self, pruning: DensityPeaks, lanes: int, keeps_center: bool, free_batch: bool) -> None:
        super().__init__()
        self.frames, self.lanes, self.free_batch = pruning.frames, lanes, free_batch
        self.pruning = copy.deepcopy(pruning)
        if keeps_center:
            self.pruning.number[(self.frames - 1) // 2] = -1.0

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[-1]
        if self.lanes == 1:
            features = x.reshape(-1, self.frames, width)
        else:
            features = x.reshape(-1, self.frames, self.lanes, width).mean(dim=2)
        index = self.pruning(features)  # (B, T)
        if self.free_batch:
            kept = take(x.reshape(-1, self.frames, self.lanes * width), index)
        else:
            kept = x.reshape(self.frames, self.lanes * width).index_select(0, index.reshape(-1))
        return kept.reshape(-1, width)


class AddPositions(nn.Module):
    """Add one vector per token, the same in all lanes, to rows ``(B * N * lanes, C)``."""

    def __init__(self, positions: Tensor, lanes: int) -> None:
        super().__init__()
        self.tokens, self.lanes = len(positions), lanes
        self.positions = constant(positions[:, None])  # (N, 1, C)

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[-1]
        return (x.reshape(-1, self.tokens, self.lanes, width) + self.positions).reshape(-1, width)


class Recover(nn.Module):
    """Whitened rows of the kept frames to rows of all: token recovering attention, then the Linear ``after`` it if any.

    Queries come from parameters alone, so they are constants, the same for all joints; so is the residual, which takes
    up all biases.
    """

    def __init__(self, network: Hourglass, norm: nn.LayerNorm, tokens: int, lanes: int, after: Affine | None = None) -> None:
        super().__init__()
        attention = network.cross_attention
        self.tokens, self.lanes, self.heads = tokens, lanes, attention.heads
        weight, bias = affine(attention.linear_q)
        self.head_width = len(bias) // self.heads
        x_token = double(network.x_token[0])
        queries = (x_token @ weight + bias) * self.head_width**-0.5
        self.query = constant(queries.reshape(-1, self.heads, self.head_width).transpose(0, 1))  # (heads, F, head_width)
        self.key = Dense(after_norm(norm, *affine(attention.linear_k))[0], None)
        value, shift = after_norm(norm, *affine(attention.linear_v))
        self.value = Dense(value, None)
        projection, residual = affine(attention.proj)
        residual = residual + shift @ projection + x_token
        if after is not None:
            projection, residual = projection @ after[0], residual @ after[0] + after[1]
        self.proj = Dense(projection, None)
        self.residual = AddPositions(residual, lanes)

    def forward(self, x: Tensor) -> Tensor:
        k, v = self.split(self.key(x)), self.split(self.value(x))
        mixed = (self.query @ k.transpose(-2, -1)).softmax(dim=-1) @ v  # (B * lanes, heads, F, head_width)
        by_frame = mixed.reshape(-1, self.lanes * self.heads, self.residual.tokens, self.head_width).transpose(1, 2)
        return self.residual(self.proj(by_frame.reshape(-1, self.heads * self.head_width)))

    def split(self, rows: Tensor) -> Tensor:
        """Return ``(B * lanes, heads, T, head_width)``."""
        heads = rows.reshape(-1, self.tokens, self.lanes * self.heads, self.head_width).transpose(1, 2)
        return heads.reshape(-1, self.heads, self.tokens, self.head_width)


def pruning_of(network: Backbone, lanes: int, free_batch: bool) -> tuple[int, nn.Module]:
    """Return the level before which ``network`` prunes, and what does it; a level that is never reached if none does."""
    pruning = density_peaks(network)
    if pruning is None:
        return -1, nn.Identity()
    assert isinstance(network, PrunedNetwork)
    prune = Prune(pruning, lanes, isinstance(network, CenterPruning), free_batch)
    if isinstance(network, Hourglass):
        return network.level, nn.Sequential(prune, AddPositions(double(network.pos_embed_token[0]), lanes))
    return network.level, prune


def tokens_at(network: Backbone, level: int) -> int:
    """Return how many frames go through ``level``."""
    pruning = density_peaks(network)
    if pruning is None:
        return network.frames
    assert isinstance(network, PrunedNetwork)
    return pruning.keep if level >= network.level else network.frames


def center_slot(network: Backbone) -> int:
    """Return the token that is the centre frame after the last level of a network that gives the centre's pose."""
    return (network.frames - 1) // 2 if density_peaks(network) is None else 0


def density_peaks(network: Backbone) -> DensityPeaks | None:
    """Return what chooses frames, if any does."""
    return network.pruning if isinstance(network, PrunedNetwork) else None
