"""PoseFormerV2 folded: cosine transforms as constant products, norms' affine parts and embeddings' biases in what reads them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.fold.algebra import Dense, FoldedMLP, Whiten, constant, dense_after_norm, double
from poseedge.fold.attention import affine, folded_block, self_attention
from poseedge.fold.registry import differentiable_fold
from poseedge.models.poseformerv2 import MixedBlock, PoseFormerV2, cosine_transform


class FrequencyMLP(nn.Module):
    """Norm, DCT over tokens, MLP, inverse DCT. The norm's shift reaches the first coefficient alone."""

    def __init__(self, block: MixedBlock, tokens: int) -> None:
        super().__init__()
        transform = torch.from_numpy(cosine_transform(tokens))
        inverse = torch.linalg.inv(transform)
        weight, bias = affine(block.mlp2.fc1)
        shift = double(block.norm3.bias) @ weight
        self.norm = Whiten(block.norm3)
        self.transform = constant(transform)
        self.fc1 = Dense(double(block.norm3.weight)[:, None] * weight, transform.sum(dim=1)[:, None] * shift + bias)
        last, last_bias = affine(block.mlp2.fc2)
        self.fc2 = Dense(last, None)
        self.inverse, self.bias = constant(inverse), constant(inverse.sum(dim=1)[:, None] * last_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.inverse @ self.fc2(F.gelu(self.fc1(self.transform @ self.norm(x)))) + self.bias


class FoldedMixedBlock(nn.Module):
    """A block on ``(tokens, C)``, or ``(B, tokens, C)``."""

    def __init__(self, block: MixedBlock, tokens: int, width: int, lead: tuple[int, ...]) -> None:
        super().__init__()
        self.split, self.shape = block.split, (*lead, tokens, width)
        self.norm = Whiten(block.norm1)
        self.attn = self_attention(block.norm1, block.attn, tokens)
        self.mlp1 = FoldedMLP(block.norm2, block.mlp1)
        self.mlp2 = FrequencyMLP(block, tokens - block.split)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.norm(x).reshape(-1, self.shape[-1])
        x = x + self.attn(rows, rows, rows).reshape(self.shape)
        first, rest = x[..., : self.split, :], x[..., self.split :, :]
        return torch.cat([first + self.mlp1(first), rest + self.mlp2(rest)], dim=-2)


class FoldedPoseFormerV2(nn.Module):
    """``(B, frames, 17, 2)`` to ``(B, 1, 17, 3)``."""

    def __init__(self, network: PoseFormerV2, free_batch: bool) -> None:
        super().__init__()
        self.lead = (-1,) if free_batch else ()
        self.joints, self.kept, self.frames, self.inputs = network.n_joints, network.kept, network.frames, network.in_channels
        self.frames_kept, width = network.frames_kept, network.Temporal_norm.normalized_shape[0]
        self.width = width
        self.coefficients = constant(torch.from_numpy(cosine_transform(network.frames)[: network.coeffs_kept]))
        weight, bias = affine(network.Freq_embedding)
        self.embed_frequencies = Dense(weight, bias + double(network.Temporal_pos_embed_[0]))
        weight, bias = affine(network.Joint_embedding)
        positions = (bias + double(network.Spatial_pos_embed[0])).repeat(network.frames_kept, 1)  # (f * J, c)
        self.embed_joints = Dense(weight, positions)
        self.spatial = nn.ModuleList(folded_block(block, self.joints) for block in network.Spatial_blocks)  # type: ignore[arg-type]
        norm = network.Spatial_norm
        self.spatial_norm, self.scale = Whiten(norm), constant(double(norm.weight).repeat(self.joints))
        self.shift = constant(double(norm.bias).repeat(self.joints) + double(network.Temporal_pos_embed[0]))  # (f, C)
        tokens = network.coeffs_kept + network.frames_kept
        self.blocks = nn.ModuleList(FoldedMixedBlock(block, tokens, width, self.lead) for block in network.blocks)  # type: ignore[arg-type]
        self.norm, self.pool = Whiten(network.Temporal_norm), Pool(network)
        head_norm, head = network.head
        assert isinstance(head_norm, nn.LayerNorm)
        assert isinstance(head, nn.Linear)
        self.head_norm, self.head = Whiten(head_norm), dense_after_norm(head_norm, head)

    def forward(self, keypoints: Tensor) -> Tensor:
        window = keypoints.reshape(*self.lead, self.frames, self.joints * self.inputs)
        x = torch.cat([self.embed_frequencies(self.coefficients @ window), self.time_tokens(window)], dim=-2)
        for block in self.blocks:
            x = block(x)
        pooled = self.pool(self.norm(x)).reshape(-1, 2 * self.width)
        return self.head(self.head_norm(pooled)).reshape(-1, 1, self.joints, 3)

    def time_tokens(self, window: Tensor) -> Tensor:
        """Return the kept frames' tokens, ``(f, C)`` or ``(B, f, C)``."""
        rows = window[..., self.kept, :].reshape(*self.lead, self.frames_kept * self.joints, self.inputs)
        x = self.embed_joints(rows)
        x = x.reshape(-1, x.shape[-1])
        for block in self.spatial:
            x = block(x)
        return self.spatial_norm(x).reshape(*self.lead, self.frames_kept, self.width) * self.scale + self.shift


class Pool(nn.Module):
    """Both weighted means of tokens that are whitened: ``(..., tokens, C)`` to ``(..., 2, C)``."""

    def __init__(self, network: PoseFormerV2) -> None:
        super().__init__()
        means = (network.weighted_mean, network.weighted_mean_)
        weights = torch.block_diag(*(double(mean.weight)[:, :, 0] for mean in means))  # (2, tokens)
        biases = torch.stack([double(mean.bias) for mean in means if mean.bias is not None])  # (2, 1)
        norm = network.Temporal_norm
        self.weights, self.scale = constant(weights), constant(norm.weight)
        self.shift = constant(weights.sum(dim=1)[:, None] * double(norm.bias) + biases)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.weights @ tokens * self.scale + self.shift


@differentiable_fold.register
def _(network: PoseFormerV2, free_batch: bool = False) -> nn.Module:
    return FoldedPoseFormerV2(network, free_batch).eval()
