"""The pieces that folded networks are made of. Weights are combined in double precision and cast last."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.models.layers import MLP, Attention, ModulatedGraphConv


def double(tensor: Tensor) -> Tensor:
    """Widen, for weight arithmetic."""
    return tensor.double()


def constant(tensor: Tensor) -> Tensor:
    """Narrow to float32, as a named weight of the exported graph; where gradients are wanted, as what follows from others."""
    narrow = tensor.float().contiguous()
    if torch.is_grad_enabled() and narrow.requires_grad:
        return narrow
    return nn.Parameter(narrow.detach(), requires_grad=False)


class Dense(nn.Module):
    """``x @ weight + bias`` with an input-major weight ``(in, out)``; the bias may differ by row, ``(N, out)``."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = constant(weight)
        self.bias = None if bias is None else constant(bias)

    def forward(self, x: Tensor) -> Tensor:
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


class Whiten(nn.Module):
    """Layer normalisation without its affine part, which belongs to what follows."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.shape, self.eps = tuple(norm.normalized_shape), norm.eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.shape, eps=self.eps)


def batch_norm_affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return scale and shift of a batch norm in evaluation."""
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = double(norm.weight) / (double(norm.running_var) + norm.eps).sqrt()
    return scale, double(norm.bias) - double(norm.running_mean) * scale


def after_norm(norm: nn.LayerNorm, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Move a norm's affine part into the Linear that reads it; ``weight`` is ``(in, out)``, all in double."""
    shifted = double(norm.bias) @ weight
    return double(norm.weight)[:, None] * weight, shifted if bias is None else shifted + bias


def dense_after_norm(norm: nn.LayerNorm, linear: nn.Linear) -> Dense:
    """A Linear with the affine part of the norm before it."""
    return Dense(*after_norm(norm, double(linear.weight).T, double(linear.bias)))


def dense(linear: nn.Linear) -> Dense:
    """A Linear as it is."""
    return Dense(double(linear.weight).T, double(linear.bias))


class FoldedMLP(nn.Module):
    """Norm, Linear, GELU, Linear; the residual stays outside."""

    def __init__(self, norm: nn.LayerNorm, mlp: MLP) -> None:
        super().__init__()
        self.norm = Whiten(norm)
        self.fc1 = dense_after_norm(norm, mlp.fc1)
        self.fc2 = dense(mlp.fc2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


def attention_maps(norm: nn.LayerNorm, attention: Attention) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the weight and bias of the joint query, key, value Linear after ``norm``, and those of the projection.

    The scale is part of q. The key bias adds the same to all logits of a query, so it is dropped; attention rows sum
    to one, so the value bias passes straight into the projection's.
    """
    width = attention.proj.in_features
    bias = None if attention.qkv.bias is None else double(attention.qkv.bias)
    weight, shift = after_norm(norm, double(attention.qkv.weight).T, bias)
    scale = (width // attention.heads) ** -0.5
    query = torch.arange(3 * width) < width
    projection = double(attention.proj.weight).T
    return (
        torch.where(query, weight * scale, weight),
        torch.where(query, shift * scale, torch.zeros_like(shift)),
        projection,
        double(attention.proj.bias) + shift[2 * width :] @ projection,
    )


def attend(qkv: Tensor, heads: int) -> Tensor:
    """Self-attention over the last but one axis of scaled queries, keys and values ``(..., N, 3C)``, to ``(..., N, C)``."""
    return mix_values(*by_head(qkv, 3 * heads).split(heads, dim=-3))


def attend_to(query: Tensor, key_value: Tensor, heads: int) -> Tensor:
    """Attention of scaled queries ``(..., M, C)`` to keys and values ``(..., N, 2C)``, to ``(..., M, C)``."""
    return mix_values(by_head(query, heads), *by_head(key_value, 2 * heads).split(heads, dim=-3))


def by_head(x: Tensor, heads: int) -> Tensor:
    """Split channels: ``(..., N, C)`` to ``(..., heads, N, C / heads)``."""
    return x.reshape(*batch_axes(x), x.shape[-2], heads, x.shape[-1] // heads).transpose(-3, -2)


def mix_values(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of each head, ``(..., heads, M or N, C / heads)``; heads side by side, ``(..., M, C)``."""
    mixed = ((query @ key.transpose(-2, -1)).softmax(dim=-1) @ value).transpose(-3, -2)
    tokens, heads, width = mixed.shape[-3:]
    return mixed.reshape(*(-1,) * (mixed.dim() - 3), tokens, heads * width)


class FoldedAttention(nn.Module):
    """Norm and self-attention over the last but one axis."""

    def __init__(self, norm: nn.LayerNorm, attention: Attention) -> None:
        super().__init__()
        self.norm = Whiten(norm)
        self.heads = attention.heads
        weight, bias, projection, projection_bias = attention_maps(norm, attention)
        self.qkv = Dense(weight, bias)
        self.proj = Dense(projection, projection_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(attend(self.qkv(self.norm(x)), self.heads))


class FoldedGraphConv(nn.Module):
    """A modulated graph convolution as two products: ``P @ ((x @ [W0 | W1]) * M) + bias``.

    Row 2n of the reshaped product is node n through W0, row 2n+1 through W1; ``P (N, 2N)`` interleaves the adjacency's
    diagonal and the rest. A norm before it stays whole: folded in, its shift would need a bias for every node.
    """

    def __init__(self, conv: ModulatedGraphConv) -> None:
        super().__init__()
        own, others = (double(part) for part in conv.mixing())
        self.nodes = len(own)
        mixing = torch.stack([own, others], dim=-1).reshape(self.nodes, 2 * self.nodes)
        modulation = double(conv.M)[:, None, :]  # (N, 1, C)
        self.width = modulation.shape[-1]
        self.dense = Dense(torch.cat([double(conv.W[0]), double(conv.W[1])], dim=-1), None)
        self.modulation = constant(modulation)
        self.mixing = constant(mixing)
        self.bias = constant(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        pairs = self.dense(x).reshape(*batch_axes(x), self.nodes, 2, self.width) * self.modulation
        return self.mixing @ pairs.reshape(*batch_axes(x), 2 * self.nodes, self.width) + self.bias


def batch_axes(x: Tensor) -> tuple[int, ...]:
    """Return the leading axes of a reshape: none for ``(N, C)``, a free one for ``(B, N, C)``."""
    return (-1,) * (x.dim() - 2)
