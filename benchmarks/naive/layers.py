"""Attention as the published networks write it."""

from __future__ import annotations

from torch import Tensor

from poseedge.models.layers import Attention, CrossAttention


class PublishedAttention(Attention):
    """Attention over the second axis of ``(B, N, C)`` by one ``(3, B, heads, N, hd)`` transpose, scores scaled last."""

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        head_width = width // self.heads
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, head_width).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        weights = (q @ k.transpose(-2, -1) * head_width**-0.5).softmax(dim=-1)
        x = (weights @ v).transpose(1, 2).reshape(batch, tokens, width)
        return self.proj_drop(self.proj(x))


class PublishedCrossAttention(CrossAttention):
    """Cross-attention on ``(B, N, C)``, scores scaled last."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        batch, queries, width = query.shape
        head_width = width // self.heads
        q = self.linear_q(query).reshape(batch, queries, self.heads, head_width).permute(0, 2, 1, 3)
        k = self.linear_k(key).reshape(batch, key.shape[1], self.heads, head_width).permute(0, 2, 1, 3)
        v = self.linear_v(value).reshape(batch, key.shape[1], self.heads, head_width).permute(0, 2, 1, 3)
        weights = (q @ k.transpose(-2, -1) * head_width**-0.5).softmax(dim=-1)
        x = (weights @ v).transpose(1, 2).reshape(batch, queries, width)
        return self.proj_drop(self.proj(x))
