"""MotionBERT's DSTformer with the 3D pose head (Zhu et al., ICCV 2023, arXiv 2210.06551).

Two streams per level, joints then frames and frames then joints, fused by learned weights per joint and frame.
``hot_motionbert`` adds the Hourglass Tokenizer.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from poseedge.errors import PoseedgeError
from poseedge.models.layers import MLP, SpatialAttention, TemporalAttention, move_to_end
from poseedge.models.network import Shapes
from poseedge.models.pruning import Backbone, Hourglass
from poseedge.models.registry import register


class SpatioTemporalBlock(nn.Module):
    """A spatial and a temporal transformer sub-layer on ``(B, F, J, C)``."""

    def __init__(self, width: int, heads: int, hidden: int, temporal_first: bool) -> None:
        super().__init__()
        self.temporal_first = temporal_first
        self.norm1_s = nn.LayerNorm(width, eps=1e-6)
        self.norm1_t = nn.LayerNorm(width, eps=1e-6)
        self.attn_s = SpatialAttention(width, heads, qkv_bias=True)
        self.attn_t = TemporalAttention(width, heads, qkv_bias=True)
        self.norm2_s = nn.LayerNorm(width, eps=1e-6)
        self.norm2_t = nn.LayerNorm(width, eps=1e-6)
        self.mlp_s = MLP(width, hidden)
        self.mlp_t = MLP(width, hidden)
        for attention in (self.attn_s, self.attn_t):
            move_to_end(attention, "qkv")

    def forward(self, x: Tensor) -> Tensor:
        return self.spatial(self.temporal(x)) if self.temporal_first else self.temporal(self.spatial(x))

    def spatial(self, x: Tensor) -> Tensor:
        x = x + self.attn_s(self.norm1_s(x))
        return x + self.mlp_s(self.norm2_s(x))

    def temporal(self, x: Tensor) -> Tensor:
        x = x + self.attn_t(self.norm1_t(x))
        return x + self.mlp_t(self.norm2_t(x))


@register("motionbert")
class MotionBERT(Backbone):
    """``(B, F, 17, 3)`` with u, v and confidence, F up to ``maxlen``, to ``(B, F, 17, 3)``: the poses of all frames.

    The defaults are the "lite" size; the base size is ``dim_feat=512, mlp_ratio=2``. As published, poses are x, y and
    depth in the input's screen scale, not metres: what the scale is, the training targets decide.
    """

    assumed: ClassVar[tuple[str, ...]] = ("num_heads",)

    in_channels = 3

    def __init__(
        self,
        dim_feat: int = 256,
        dim_rep: int = 512,
        depth: int = 5,
        num_heads: int = 8,
        mlp_ratio: int = 4,
        maxlen: int = 243,
        num_joints: int = 17,
    ) -> None:
        super().__init__()
        if dim_feat % num_heads:
            raise PoseedgeError(f"dim_feat={dim_feat} is no multiple of num_heads={num_heads}", "lite has 256 and 8")
        self.frames, self.depth = maxlen, depth
        hidden = dim_feat * mlp_ratio
        self.temp_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, maxlen, 1, dim_feat), std=0.02))
        self.pos_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, num_joints, dim_feat), std=0.02))
        self.joints_embed = nn.Linear(self.in_channels, dim_feat)
        self.blocks_st = nn.ModuleList(SpatioTemporalBlock(dim_feat, num_heads, hidden, False) for _ in range(depth))
        self.blocks_ts = nn.ModuleList(SpatioTemporalBlock(dim_feat, num_heads, hidden, True) for _ in range(depth))
        self.norm = nn.LayerNorm(dim_feat, eps=1e-6)
        self.pre_logits = nn.Sequential(OrderedDict(fc=nn.Linear(dim_feat, dim_rep), act=nn.Tanh()))
        self.head = nn.Linear(dim_rep, 3)
        self.ts_attn = nn.ModuleList(nn.Linear(2 * dim_feat, 2) for _ in range(depth))
        self.apply(initialize)
        for fusion in self.ts_attn:  # both streams count alike at first
            nn.init.zeros_(fusion.get_parameter("weight"))
            nn.init.constant_(fusion.get_parameter("bias"), 0.5)

    def front(self, x: Tensor, level: int) -> Tensor:
        embedded = self.joints_embed(x) + self.pos_embed + self.temp_embed[:, : x.shape[1]]  # (B, F, J, C)
        return self.levels(embedded, 0, level)

    def back(self, stream: Tensor, level: int) -> Tensor:
        return self.norm(self.levels(stream, level, self.depth))

    def levels(self, x: Tensor, first: int, last: int) -> Tensor:
        """Run levels ``first`` to ``last - 1``."""
        for i in range(first, last):
            st, ts = self.blocks_st[i](x), self.blocks_ts[i](x)
            p_st, p_ts = self.ts_attn[i](torch.cat([st, ts], dim=-1)).softmax(dim=-1).chunk(2, dim=-1)
            x = p_st * st + p_ts * ts
        return x

    def regress(self, stream: Tensor) -> Tensor:
        return self.head(self.pre_logits(stream))

    def pooled(self, stream: Tensor) -> Tensor:
        return stream.mean(dim=2)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        return None if "x_token" in shapes else infer_backbone(shapes)


@register("hot_motionbert")
class HotMotionBERT(Hourglass, MotionBERT):
    """MotionBERT that runs the levels from ``layer_index`` on with ``token_num`` frames; all frames come out.

    Windows have exactly ``maxlen`` frames.
    """

    assumed = ("num_heads", "layer_index")

    def __init__(
        self,
        dim_feat: int = 256,
        dim_rep: int = 512,
        depth: int = 5,
        num_heads: int = 8,
        mlp_ratio: int = 4,
        maxlen: int = 243,
        num_joints: int = 17,
        token_num: int = 81,
        layer_index: int = 1,
    ) -> None:
        super().__init__(dim_feat, dim_rep, depth, num_heads, mlp_ratio, maxlen, num_joints)
        self.tokenize(layer_index, range(depth), token_num, dim_feat, num_heads)
        self.cross_attention.apply(initialize)
        move_to_end(self, "temp_embed", "pos_embed", "pre_logits", "head", "ts_attn")

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        config = infer_backbone(shapes)
        if config is None or "x_token" not in shapes:
            return None
        return config | {"token_num": shapes["pos_embed_token"][1], "layer_index": 1}  # the cut leaves no trace in shapes


def initialize(module: nn.Module) -> None:
    """Give a linear layer MotionBERT's start: truncated normal weights of standard deviation 0.02, no bias."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


def infer_backbone(shapes: Shapes) -> dict[str, Any] | None:
    """Return the configuration of MotionBERT's part of a state dict, or None."""
    if not {"temp_embed", "joints_embed.weight", "blocks_st.0.mlp_s.fc1.weight", "pre_logits.fc.weight"} <= shapes.keys():
        return None
    _, maxlen, _, width = shapes["temp_embed"]
    return {
        "dim_feat": width,
        "dim_rep": shapes["pre_logits.fc.weight"][0],
        "depth": sum(key.startswith("ts_attn.") and key.endswith(".weight") for key in shapes),
        "num_heads": 8,  # shapes cannot tell
        "mlp_ratio": shapes["blocks_st.0.mlp_s.fc1.weight"][0] // width,
        "maxlen": maxlen,
        "num_joints": shapes["pos_embed"][1],
    }
