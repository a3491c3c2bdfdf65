"""MHFormer (Li et al., CVPR 2022, arXiv 2111.12707): three hypotheses of the pose sequence, mixed into one.

MHG makes the hypotheses by attention over coordinates, SHR refines each, CHI lets them look at one another.
``tpc_mhformer`` adds the pruning of the Hourglass Tokenizer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poseedge.errors import PoseedgeError
from poseedge.models.layers import MLP, Attention, CrossAttention, DropPath, TransformerBlock, move_to_end
from poseedge.models.network import Shapes
from poseedge.models.pruning import Backbone, CenterPruning
from poseedge.models.registry import register

HEADS = 8
MHG_HEADS = 9
MHG_DEPTH = 4
DROPOUT = 0.1
DROP_PATH = 0.2


class HypothesisGenerator(nn.Module):
    """One transformer of MHG: tokens are coordinates, features are frames, ``(B, 2J, F)``."""

    def __init__(self, coordinates: int, frames: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, coordinates, frames))
        self.pos_drop = nn.Dropout(DROPOUT)
        self.blocks = nn.ModuleList(
            TransformerBlock(Attention(frames, MHG_HEADS, True, DROPOUT), 2 * frames, DropPath(rate), DROPOUT)
            for rate in np.linspace(0, DROP_PATH, MHG_DEPTH).tolist()
        )
        self.norm = nn.LayerNorm(frames, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pos_drop(x + self.pos_embed)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class SHR(nn.Module):
    """Self-hypothesis refinement: attention between frames within each third of ``(B, F, 3C)``, then an MLP over all."""

    def __init__(self, channel: int, hidden: int, drop_path: float) -> None:
        super().__init__()
        self.norm1_1 = nn.LayerNorm(channel, eps=1e-6)
        self.norm1_2 = nn.LayerNorm(channel, eps=1e-6)
        self.norm1_3 = nn.LayerNorm(channel, eps=1e-6)
        self.attn_1 = Attention(channel, HEADS, qkv_bias=True, dropout=DROPOUT)
        self.attn_2 = Attention(channel, HEADS, qkv_bias=True, dropout=DROPOUT)
        self.attn_3 = Attention(channel, HEADS, qkv_bias=True, dropout=DROPOUT)
        self.norm2 = nn.LayerNorm(3 * channel, eps=1e-6)
        self.mlp = MLP(3 * channel, hidden, DROPOUT)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2, x3 = x.chunk(3, dim=-1)
        x1 = x1 + self.drop_path(self.attn_1(self.norm1_1(x1)))
        x2 = x2 + self.drop_path(self.attn_2(self.norm1_2(x2)))
        x3 = x3 + self.drop_path(self.attn_3(self.norm1_3(x3)))
        x = torch.cat([x1, x2, x3], dim=-1)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class CHI(nn.Module):
    """Cross-hypothesis interaction: each third of ``(B, F, 3C)`` in turn attends to the others as they then are."""

    def __init__(self, channel: int, hidden: int, drop_path: float) -> None:
        super().__init__()
        self.norm3_11 = nn.LayerNorm(channel, eps=1e-6)
        self.norm3_12 = nn.LayerNorm(channel, eps=1e-6)
        self.norm3_13 = nn.LayerNorm(channel, eps=1e-6)
        self.norm3_21 = nn.LayerNorm(channel, eps=1e-6)
        self.norm3_22 = nn.LayerNorm(channel, eps=1e-6)
        self.norm3_23 = nn.LayerNorm(channel, eps=1e-6)
        self.norm3_31 = nn.LayerNorm(channel, eps=1e-6)
        self.norm3_32 = nn.LayerNorm(channel, eps=1e-6)
        self.norm3_33 = nn.LayerNorm(channel, eps=1e-6)
        self.attn_1 = CrossAttention(channel, HEADS, DROPOUT)
        self.attn_2 = CrossAttention(channel, HEADS, DROPOUT)
        self.attn_3 = CrossAttention(channel, HEADS, DROPOUT)
        self.norm2 = nn.LayerNorm(3 * channel, eps=1e-6)
        self.mlp = MLP(3 * channel, hidden, DROPOUT)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2, x3 = x.chunk(3, dim=-1)
        x1 = x1 + self.drop_path(self.attn_1(self.norm3_11(x2), self.norm3_12(x3), self.norm3_13(x1)))
        x2 = x2 + self.drop_path(self.attn_2(self.norm3_21(x1), self.norm3_22(x3), self.norm3_23(x2)))
        x3 = x3 + self.drop_path(self.attn_3(self.norm3_31(x1), self.norm3_32(x2), self.norm3_33(x3)))
        x = torch.cat([x1, x2, x3], dim=-1)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class HypothesisTransformer(nn.Module):
    """SHR blocks and one CHI block over the frames of three hypotheses, side by side in ``(B, F, 3C)``."""

    def __init__(self, frames: int, channel: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.pos_embed_1 = nn.Parameter(torch.zeros(1, frames, channel))
        self.pos_embed_2 = nn.Parameter(torch.zeros(1, frames, channel))
        self.pos_embed_3 = nn.Parameter(torch.zeros(1, frames, channel))
        self.pos_drop = nn.Dropout(DROPOUT)
        rates = np.linspace(0, DROP_PATH, layers).tolist()
        self.SHR_blocks = nn.ModuleList(SHR(channel, hidden, rate) for rate in rates[:-1])
        self.CHI_blocks = nn.ModuleList([CHI(channel, hidden, rates[-1])])
        self.norm = nn.LayerNorm(3 * channel, eps=1e-6)

    def embed(self, x1: Tensor, x2: Tensor, x3: Tensor) -> Tensor:
        """Add positions to the hypotheses ``(B, F, C)`` and join them."""
        return self.pos_drop(torch.cat([x1 + self.pos_embed_1, x2 + self.pos_embed_2, x3 + self.pos_embed_3], dim=-1))

    def levels(self, x: Tensor, first: int, last: int) -> Tensor:
        """Run blocks ``first`` to ``last - 1``, CHI being the last of all."""
        for block in [*self.SHR_blocks, *self.CHI_blocks][first:last]:
            x = block(x)
        return x


@register("mhformer")
class MHFormer(Backbone):
    """``(B, frames, 17, 2)`` to ``(B, frames, 17, 3)``: ``forward`` gives, and training uses, the poses of all frames.

    The published protocol reads the centre's alone: so do ``lift`` and ``output_frames``.
    """

    def __init__(
        self,
        frames: int = 351,
        layers: int = 3,
        channel: int = 512,
        d_hid: int = 1024,
        n_joints: int = 17,
        out_joints: int = 17,
    ) -> None:
        super().__init__()
        check_config(frames, layers, channel, n_joints, out_joints)
        self.frames, self.depth = frames, layers
        self.norm_1 = nn.LayerNorm(frames)
        self.norm_2 = nn.LayerNorm(frames)
        self.norm_3 = nn.LayerNorm(frames)
        self.Transformer_encoder_1 = HypothesisGenerator(2 * n_joints, frames)
        self.Transformer_encoder_2 = HypothesisGenerator(2 * n_joints, frames)
        self.Transformer_encoder_3 = HypothesisGenerator(2 * n_joints, frames)
        self.embedding_1 = embedding(2 * n_joints, channel, frames)
        self.embedding_2 = embedding(2 * n_joints, channel, frames)
        self.embedding_3 = embedding(2 * n_joints, channel, frames)
        self.Transformer_hypothesis = HypothesisTransformer(frames, channel, d_hid, layers)
        self.regression = nn.Sequential(nn.BatchNorm1d(3 * channel), nn.Conv1d(3 * channel, 3 * out_joints, kernel_size=1))

    @property
    def output_frames(self) -> tuple[int, ...]:
        return ((self.frames - 1) // 2,)

    def lift(self, x: Tensor) -> Tensor:
        center = self.output_frames[0]
        return self(x)[:, center : center + 1]

    def hypotheses(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three hypotheses of windows ``x``, each ``(B, 2J, F)`` (MHG)."""
        x0 = x.flatten(2).transpose(1, 2)
        x1 = x0 + self.Transformer_encoder_1(self.norm_1(x0))
        x2 = x1 + self.Transformer_encoder_2(self.norm_2(x1))
        x3 = x2 + self.Transformer_encoder_3(self.norm_3(x2))
        return x1, x2, x3

    def front(self, x: Tensor, level: int) -> Tensor:
        x1, x2, x3 = self.hypotheses(x)
        stream = self.Transformer_hypothesis.embed(
            self.embedding_1(x1).transpose(1, 2),
            self.embedding_2(x2).transpose(1, 2),
            self.embedding_3(x3).transpose(1, 2),
        )
        return self.Transformer_hypothesis.levels(stream, 0, level)  # (B, F, 3C)

    def back(self, stream: Tensor, level: int) -> Tensor:
        return self.Transformer_hypothesis.norm(self.Transformer_hypothesis.levels(stream, level, self.depth))

    def regress(self, stream: Tensor) -> Tensor:
        poses = self.regression(stream.transpose(1, 2)).transpose(1, 2)  # (B, F, 3J)
        return poses.reshape(*poses.shape[:2], -1, 3)

    def pooled(self, stream: Tensor) -> Tensor:
        return stream

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        if not {"norm_1.weight", "regression.1.weight", "Transformer_hypothesis.pos_embed_1"} <= shapes.keys():
            return None
        _, frames, channel = shapes["Transformer_hypothesis.pos_embed_1"]
        return {
            "frames": frames,
            "layers": sum(key.endswith(".mlp.fc1.weight") and "_hypothesis." in key for key in shapes),
            "channel": channel,
            "d_hid": shapes["Transformer_hypothesis.CHI_blocks.0.mlp.fc1.weight"][0],
            "n_joints": shapes["Transformer_encoder_1.pos_embed"][1] // 2,
            "out_joints": shapes["regression.1.weight"][0] // 3,
        }


@register("tpc_mhformer")
class TpcMHFormer(CenterPruning, MHFormer):
    """MHFormer that goes on with ``token_num`` frames from SHR block ``layer_index`` on, for the centre pose."""

    assumed = ("token_num", "layer_index")

    def __init__(
        self,
        frames: int = 351,
        channel: int = 512,
        d_hid: int = 1024,
        n_joints: int = 17,
        out_joints: int = 17,
        token_num: int = 117,
        layer_index: int = 1,
    ) -> None:
        super().__init__(frames, 3, channel, d_hid, n_joints, out_joints)
        self.prune(layer_index, range(2), token_num, keep_center=True)
        move_to_end(self, "norm_1", "norm_2", "norm_3")
        move_to_end(self, "Transformer_encoder_1", "Transformer_encoder_2", "Transformer_encoder_3")

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Return a configuration for MHFormer's weights, which these are: the name has to be given to load them so."""
        config = super().infer_config(shapes)
        if config is None or config.pop("layers") != 3:
            return None
        # Pruning leaves no trace in shapes: the published share of frames, after the first SHR block.
        return config | {"token_num": config["frames"] // 3, "layer_index": 1}


def embedding(coordinates: int, channel: int, frames: int) -> nn.Module:
    """Coordinates to features, ``(B, 2J, F)`` to ``(B, C, F)``; short windows have more to it."""
    convolution = nn.Conv1d(coordinates, channel, kernel_size=1)
    if frames > 27:
        return convolution
    return nn.Sequential(convolution, nn.BatchNorm1d(channel), nn.ReLU(), nn.Dropout(0.25))


def check_config(frames: int, layers: int, channel: int, n_joints: int, out_joints: int) -> None:
    """Refuse a configuration that the architecture cannot have."""
    if frames % MHG_HEADS:
        raise PoseedgeError(f"mhformer needs frames that are a multiple of {MHG_HEADS}, not {frames}", "such as 27, 81, 351")
    if channel % HEADS:
        raise PoseedgeError(f"mhformer needs a channel that is a multiple of {HEADS}, not {channel}", "the default is 512")
    if layers < 1:
        raise PoseedgeError(f"mhformer needs at least the one layer that is CHI, not layers={layers}")
    if n_joints != out_joints:
        raise PoseedgeError(f"mhformer gives as many joints as it takes, not {n_joints} -> {out_joints}")
