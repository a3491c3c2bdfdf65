"""Attention on rows: a stream is ``(B * N * lanes, C)``, so that every Linear has rank 2 whatever the batch.

Rows are ordered window, token, lane. Lanes are sequences that attend side by side, each on its own: the 17 joints where
frames are the tokens, one where the tokens are all there is. Nothing has more than four axes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from poseedge.fold.algebra import Dense, FoldedMLP, Whiten, after_norm, double
from poseedge.models.layers import MLP, Attention, CrossAttention, TransformerBlock

Affine = tuple[Tensor, Tensor]  # weight (in, out) and bias, in double


class RowAttention(nn.Module):
    """Multi-head attention between rows that are already whitened; the residual stays outside.

    The scale is part of q. The key bias adds the same to all logits of a query, so it is dropped; attention rows sum
    to one, so the value bias passes straight into the projection's. Queries, keys and values are products of their own:
    joined in one, they would only be copied apart again.
    """

    def __init__(self, query: Affine, key: Affine, value: Affine, proj: Affine, heads: int, tokens: int, lanes: int = 1) -> None:
        super().__init__()
        self.tokens, self.lanes, self.heads = tokens, lanes, heads
        width = query[0].shape[1]
        self.head_width = width // heads
        scale = self.head_width**-0.5
        self.query = Dense(query[0] * scale, query[1] * scale)
        self.key = Dense(key[0], None)
        self.value = Dense(value[0], None)
        self.proj = Dense(proj[0], proj[1] + value[1] @ proj[0])

    def forward(self, query: Tensor, key: Tensor, value: Tensor, queries: int | None = None) -> Tensor:
        """Return one row for each of ``query``, whose windows have ``queries`` tokens, or as many as the keys."""
        q = self.split(self.query(query), queries or self.tokens)
        k, v = self.split(self.key(key), self.tokens), self.split(self.value(value), self.tokens)
        mixed = (q @ k.transpose(-2, -1)).softmax(dim=-1) @ v  # (B, lanes * heads, queries, head_width)
        return self.proj(mixed.transpose(1, 2).reshape(-1, self.heads * self.head_width))

    def split(self, rows: Tensor, tokens: int) -> Tensor:
        """Return ``(B, lanes * heads, tokens, head_width)``."""
        return rows.reshape(-1, tokens, self.lanes * self.heads, self.head_width).transpose(1, 2)


class FoldedBlock(nn.Module):
    """Pre-norm attention and MLP on rows; with ``slot``, that token alone comes out."""

    def __init__(self, norms: tuple[nn.LayerNorm, nn.LayerNorm], attn: Attention, mlp: MLP, tokens: int, lanes: int = 1) -> None:
        super().__init__()
        self.norm = Whiten(norms[0])
        self.attn = self_attention(norms[0], attn, tokens, lanes)
        self.mlp = FoldedMLP(norms[1], mlp)

    def forward(self, x: Tensor, slot: int | None = None) -> Tensor:
        return self.from_whitened(x, self.norm(x), slot)

    def from_whitened(self, x: Tensor, z: Tensor, slot: int | None = None) -> Tensor:
        """Do the same where ``z``, which is ``x`` whitened, is at hand."""
        if slot is None:
            x = x + self.attn(z, z, z)
        else:
            x = token_rows(x, slot, self.attn) + self.attn(token_rows(z, slot, self.attn), z, z, 1)
        return x + self.mlp(x)


def folded_block(block: TransformerBlock, tokens: int, lanes: int = 1) -> FoldedBlock:
    """Fold a block of the shared kind."""
    return FoldedBlock((block.norm1, block.norm2), block.attn, block.mlp, tokens, lanes)


def token_rows(x: Tensor, slot: int, attention: RowAttention) -> Tensor:
    """Return the rows of one token of each window, ``(B * lanes, C)``."""
    width = x.shape[-1]
    return x.reshape(-1, attention.tokens, attention.lanes * width)[:, slot].reshape(-1, width)


def self_attention(norm: nn.LayerNorm, attention: Attention, tokens: int, lanes: int = 1) -> RowAttention:
    """Fold self-attention and the affine part of the norm before it."""
    weights = double(attention.qkv.weight).T.chunk(3, dim=1)
    biases = torch.zeros(3, weights[0].shape[1]).double() if attention.qkv.bias is None else double(attention.qkv.bias)
    query, key, value = (after_norm(norm, w, b) for w, b in zip(weights, biases.reshape(3, -1), strict=True))
    return RowAttention(query, key, value, affine(attention.proj), attention.heads, tokens, lanes)


def cross_attention(
    norms: tuple[nn.LayerNorm, nn.LayerNorm, nn.LayerNorm], attention: CrossAttention, tokens: int
) -> RowAttention:
    """Fold cross-attention and the affine parts of the norms before its queries, keys and values."""
    linears = (attention.linear_q, attention.linear_k, attention.linear_v)
    query, key, value = (after_norm(norm, *affine(linear)) for norm, linear in zip(norms, linears, strict=True))
    return RowAttention(query, key, value, affine(attention.proj), attention.heads, tokens)


def affine(linear: nn.Linear) -> Affine:
    """Return a Linear's weight ``(in, out)`` and bias in double."""
    return double(linear.weight).T, double(linear.bias)
