"""PoseFormerV2 (Zhao et al., CVPR 2023, arXiv 2303.17472): a few frames and the window's lowest frequencies, one pose.

The frames around the centre become tokens, and so do the first coefficients of a discrete cosine transform over the whole window;
a transformer over both follows. What it costs depends on how many are kept, not on the window.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poseedge.arrays import Float64Array
from poseedge.errors import PoseedgeError
from poseedge.models.layers import MLP, Attention, DropPath, TransformerBlock
from poseedge.models.network import LiftingNetwork, Shapes
from poseedge.models.registry import register
from poseedge.skeleton import NUM_JOINTS

BLOCK_EPS = 1e-6  # of all norms but the head's
DROP_PATH = 0.1


def cosine_transform(length: int) -> Float64Array:
    """Return the DCT-II that is not normalised, ``(length, length)``: row ``k`` is ``2 cos(pi k (2t + 1) / (2 length))``."""
    k, t = np.arange(length)[:, None], np.arange(length)
    return 2 * np.cos(math.pi * k * (2 * t + 1) / (2 * length))


class MixedBlock(nn.Module):
    """Attention over all tokens; then an MLP on the first half of them, and one between a DCT and its inverse on the rest.

    The halves are those of the tokens' number, wherever frequencies end and frames begin.
    """

    transform: Tensor
    inverse: Tensor

    def __init__(self, tokens: int, width: int, heads: int, ratio: int, drop_path: float) -> None:
        super().__init__()
        self.split = tokens // 2
        self.norm1 = nn.LayerNorm(width, eps=BLOCK_EPS)
        self.attn = Attention(width, heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(width, eps=BLOCK_EPS)
        self.mlp1 = MLP(width, ratio * width)
        self.norm3 = nn.LayerNorm(width, eps=BLOCK_EPS)
        self.mlp2 = MLP(width, ratio * width)
        self.drop_path = DropPath(drop_path)
        transform = cosine_transform(tokens - self.split)
        self.register_buffer("transform", torch.tensor(transform, dtype=torch.float32), persistent=False)
        self.register_buffer("inverse", torch.tensor(np.linalg.inv(transform), dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        first, rest = x[:, : self.split], x[:, self.split :]
        first = first + self.drop_path(self.mlp1(self.norm2(first)))
        return torch.cat([first, rest + self.drop_path(self.of_frequencies(rest))], dim=1)

    def of_frequencies(self, rest: Tensor) -> Tensor:
        """Run the MLP on the cosine transform over tokens."""
        return self.inverse @ self.mlp2(self.transform @ self.norm3(rest))


@register("poseformerv2")
class PoseFormerV2(LiftingNetwork):
    """``(B, frames, 17, 2)`` to ``(B, 1, 17, 3)``. No parameter depends on ``frames``, and every pose does."""

    assumed = ("frames", "num_heads")

    coefficients: Tensor

    def __init__(
        self,
        frames: int = 243,
        frames_kept: int = 27,
        coeffs_kept: int = 27,
        channel: int = 32,
        depth: int = 4,
        num_heads: int = 8,
        mlp_ratio: int = 2,
        n_joints: int = NUM_JOINTS,
        in_features: int = 2,
    ) -> None:
        super().__init__()
        coeffs_kept = coeffs_kept or frames_kept
        check_config(frames, frames_kept, coeffs_kept, channel, num_heads)
        self.frames, self.in_channels, self.n_joints = frames, in_features, n_joints
        self.frames_kept, self.coeffs_kept = frames_kept, coeffs_kept
        width, rates = channel * n_joints, np.linspace(0, DROP_PATH, depth).tolist()
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, n_joints, channel))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, frames_kept, width))
        self.Temporal_pos_embed_ = nn.Parameter(torch.zeros(1, coeffs_kept, width))
        self.Joint_embedding = nn.Linear(in_features, channel)
        self.Freq_embedding = nn.Linear(in_features * n_joints, width)
        self.Spatial_blocks = nn.ModuleList(
            TransformerBlock(Attention(channel, num_heads, qkv_bias=True), mlp_ratio * channel, DropPath(rate)) for rate in rates
        )
        tokens = coeffs_kept + frames_kept
        self.blocks = nn.ModuleList(MixedBlock(tokens, width, num_heads, mlp_ratio, rate) for rate in rates)
        self.Spatial_norm = nn.LayerNorm(channel, eps=BLOCK_EPS)
        self.Temporal_norm = nn.LayerNorm(width, eps=BLOCK_EPS)
        self.weighted_mean = nn.Conv1d(coeffs_kept, 1, kernel_size=1)
        self.weighted_mean_ = nn.Conv1d(frames_kept, 1, kernel_size=1)
        self.head = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, 3 * n_joints))
        lowest = torch.tensor(cosine_transform(frames)[:coeffs_kept], dtype=torch.float32)
        self.register_buffer("coefficients", lowest, persistent=False)

    @property
    def output_frames(self) -> tuple[int, ...]:
        return ((self.frames - 1) // 2,)

    @property
    def kept(self) -> slice:
        """The frames that become tokens."""
        first = self.output_frames[0] - self.frames_kept // 2
        return slice(first, first + self.frames_kept)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat([self.frequency_tokens(x), self.time_tokens(x)], dim=1)  # (B, n + f, C)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.Temporal_norm(tokens)
        frequencies, times = tokens[:, : self.coeffs_kept], tokens[:, self.coeffs_kept :]
        pooled = torch.cat([self.weighted_mean(frequencies), self.weighted_mean_(times)], dim=-1)  # (B, 1, 2C)
        return self.head(pooled).reshape(-1, 1, self.n_joints, 3)

    def frequency_tokens(self, x: Tensor) -> Tensor:
        """Embed the window's lowest coefficients: ``(B, n, C)``."""
        return self.Freq_embedding(self.coefficients @ x.flatten(2)) + self.Temporal_pos_embed_

    def time_tokens(self, x: Tensor) -> Tensor:
        """Embed the kept frames, whose joints attend to each other first: ``(B, f, C)``."""
        joints = self.Joint_embedding(x[:, self.kept].flatten(0, 1)) + self.Spatial_pos_embed  # (B * f, J, c)
        for block in self.Spatial_blocks:
            joints = block(joints)
        return self.Spatial_norm(joints).reshape(-1, self.frames_kept, self.n_joints * joints.shape[-1]) + self.Temporal_pos_embed

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Tell all but ``frames`` and ``num_heads``; the window is that of the published files with as many tokens."""
        if not {"Temporal_pos_embed_", "Freq_embedding.weight", "weighted_mean_.weight"} <= shapes.keys():
            return None
        kept, coefficients = shapes["Temporal_pos_embed"][1], shapes["Temporal_pos_embed_"][1]
        _, joints, channel = shapes["Spatial_pos_embed"]
        return {
            "frames": 81 if max(kept, coefficients) <= 9 else 243,
            "frames_kept": kept,
            "coeffs_kept": coefficients,
            "channel": channel,
            "depth": sum(key.endswith(".norm3.weight") for key in shapes),
            "mlp_ratio": shapes["Spatial_blocks.0.mlp.fc1.weight"][0] // channel,
            "n_joints": joints,
            "in_features": shapes["Joint_embedding.weight"][1],
        }


def check_config(frames: int, kept: int, coefficients: int, channel: int, heads: int) -> None:
    """Refuse a configuration that the architecture cannot have."""
    if kept < 1 or kept % 2 == 0:
        raise PoseedgeError(f"poseformerv2 keeps an odd number of frames, not frames_kept={kept}", "such as 1, 3, 9, 27")
    if frames < max(kept, coefficients):
        raise PoseedgeError(f"poseformerv2 cannot keep {max(kept, coefficients)} of frames={frames}", "keep fewer")
    if channel % heads:
        raise PoseedgeError(f"poseformerv2: channel={channel} is no multiple of num_heads={heads}", "the default is 32 and 8")
