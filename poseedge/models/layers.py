"""Building blocks that the networks share."""

from __future__ import annotations

import math

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DropPath(nn.Module):
    """Stochastic depth: in training, zero a whole sample's branch with probability ``rate`` (Huang et al. 2016).

    Each index of the ``samples`` axes is a sample of its own.
    """

    def __init__(self, rate: float, samples: tuple[int, ...] = (0,)) -> None:
        super().__init__()
        self.rate = rate
        self.samples = samples

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        shape = [size if axis in self.samples else 1 for axis, size in enumerate(x.shape)]
        mask = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * mask / keep


class MLP(nn.Module):
    """Linear, GELU (erf), Linear, with dropout after each."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class Attention(nn.Module):
    """Multi-head self-attention over the second axis of ``(B, N, C)`` (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int, qkv_bias: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        head_width = width // self.heads
        q, k, v = self.qkv(x).reshape(batch, tokens, 3 * self.heads, head_width).transpose(1, 2).chunk(3, dim=1)
        weights = (q * head_width**-0.5 @ k.transpose(-2, -1)).softmax(dim=-1)  # (B, heads, N, N)
        x = (weights @ v).transpose(1, 2).reshape(batch, tokens, width)
        return self.proj_drop(self.proj(x))


class SpatialAttention(Attention):
    """Self-attention between the joints of each frame of ``(B, F, J, C)``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, *x.shape[2:])).reshape(x.shape)


class TemporalAttention(Attention):
    """Self-attention between the frames of each joint of ``(B, F, J, C)``; the stream itself is never transposed."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.proj_drop(self.proj(attend(q, k, v, self.heads)))


class CrossAttention(nn.Module):
    """Multi-head attention with queries, keys and values of different origin; shapes as in ``attend``."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        x = attend(self.linear_q(query), self.linear_k(key), self.linear_v(value), self.heads)
        return self.proj_drop(self.proj(x))


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Scaled dot-product attention over the second axis; heads, and joints if there are any, go each on their own.

    ``query (B or 1, N, ..., C)``, ``key`` and ``value (B, M, ..., C)`` to ``(B, N, ..., C)``. Joints and heads share
    one axis, so that nothing has more than four.
    """
    head_width = query.shape[-1] // heads
    q, k, v = (x.reshape(*x.shape[:2], -1, head_width).transpose(1, 2) for x in (query, key, value))
    weights = (q * head_width**-0.5 @ k.transpose(-2, -1)).softmax(dim=-1)  # (B, joints * heads, N, M)
    return (weights @ v).transpose(1, 2).reshape(value.shape[0], *query.shape[1:])


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP, each on a residual branch (Dosovitskiy et al. 2021, as in timm)."""

    def __init__(self, attn: Attention, hidden: int, drop_path: DropPath, dropout: float = 0.0) -> None:
        super().__init__()
        width = attn.proj.out_features
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = attn
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width, hidden, dropout)
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def move_to_end(module: nn.Module, *names: str) -> None:
    """Let these parameters and submodules stand last in the state dict, where the published order has them."""
    for name in names:
        member = getattr(module, name)
        delattr(module, name)
        setattr(module, name, member)


class ModulatedGraphConv(nn.Module):
    """Graph convolution with learned modulation and adjacency (Zou and Tang 2021, Modulated-GCN).

    The node itself passes through ``W[0]``, its neighbours through ``W[1]``; ``M`` scales the source node's features.
    ``adjacency`` is a constant ``(N, N)`` matrix that the learned ``adj2`` corrects.
    """

    A: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: npt.ArrayLike) -> None:
        super().__init__()
        matrix = torch.as_tensor(adjacency, dtype=torch.float32)
        nodes = matrix.shape[0]
        self.register_buffer("A", matrix, persistent=False)
        self.W = nn.Parameter(nn.init.xavier_uniform_(torch.empty(2, in_channels, out_channels), gain=1.414))
        self.M = nn.Parameter(nn.init.xavier_uniform_(torch.empty(nodes, out_channels), gain=1.414))
        self.adj2 = nn.Parameter(torch.full((nodes, nodes), 1e-6))
        bound = 1 / math.sqrt(out_channels)
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))

    def mixing(self) -> tuple[Tensor, Tensor]:
        """Return the diagonal and the off-diagonal part of the symmetric adjacency, ``(N, N)`` each."""
        total = self.A + self.adj2
        total = (total + total.T) / 2
        own = torch.eye(len(total), dtype=total.dtype, device=total.device)
        return total * own, total * (1 - own)

    def forward(self, x: Tensor) -> Tensor:
        own, others = self.mixing()
        return own @ (self.M * (x @ self.W[0])) + others @ (self.M * (x @ self.W[1])) + self.bias
