"""The Hourglass Tokenizer as it was published."""

from __future__ import annotations

import torch
from torch import Tensor

from poseedge.models.pruning import DensityPeaks, Hourglass, PrunedNetwork


class PublishedDensityPeaks(DensityPeaks):
    """The choice by top-k, a minus infinity written over the centre's score, and a sort.

    The published scores carry noise, drawn anew at every call, which settles ties; no two calls of such a graph can be
    compared. Here the scores are ours: as much work, without the draw.
    """

    def forward(self, features: Tensor) -> Tensor:
        score = self.score(features)
        if not self.bonus.any():
            return score.topk(self.keep).indices.sort(dim=-1).values
        center = (self.frames - 1) // 2
        score[:, center] = -torch.inf
        others = score.topk(self.keep - 1).indices
        return torch.cat([others, torch.full_like(others[:, :1], center)], dim=-1).sort(dim=-1).values


class PublishedPruning(PrunedNetwork):
    """The kept frames taken by batched indexing."""

    def kept(self, x: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor]:
        stream = self.front(x, self.level)
        if index is None:
            index = self.choose(stream)
        batch = torch.arange(len(stream))[:, None].expand_as(index)
        return stream[batch, index], index


class PublishedRecovery(Hourglass):
    """Queries repeated for every joint, joints folded into the batch."""

    def recover(self, tokens: Tensor) -> Tensor:
        batch, kept, joints, width = tokens.shape
        rows = tokens.transpose(1, 2).reshape(batch * joints, kept, width)
        queries = self.x_token.repeat(batch * joints, 1, 1)
        recovered = queries + self.cross_attention(queries, rows, rows)
        return recovered.reshape(batch, joints, self.frames, width).transpose(1, 2)
