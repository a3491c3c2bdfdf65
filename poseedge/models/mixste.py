"""MixSTE (Zhang et al., CVPR 2022, arXiv 2203.00859): attention between joints and between frames in turn.

With the Hourglass Tokenizer: ``hot_mixste`` prunes frames and recovers them, ``tpc_mixste`` prunes for the centre pose.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from poseedge.errors import PoseedgeError
from poseedge.models.layers import DropPath, SpatialAttention, TemporalAttention, TransformerBlock, move_to_end
from poseedge.models.network import Shapes
from poseedge.models.pruning import Backbone, CenterPruning, Hourglass
from poseedge.models.registry import register


@register("mixste")
class MixSTE(Backbone):
    """``(B, frames, 17, 2)`` to ``(B, frames, 17, 3)``: the poses of all frames."""

    assumed: ClassVar[tuple[str, ...]] = ("num_heads",)

    def __init__(
        self,
        frames: int = 243,
        channel: int = 512,
        d_hid: int = 1024,
        depth: int = 8,
        num_heads: int = 8,
        n_joints: int = 17,
    ) -> None:
        super().__init__()
        if channel % num_heads:
            raise PoseedgeError(f"channel={channel} is no multiple of num_heads={num_heads}", "the default is 512 and 8")
        self.frames, self.depth = frames, depth
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, n_joints, channel))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, frames, channel))
        self.Spatial_patch_to_embedding = nn.Linear(self.in_channels, channel)
        rates = np.linspace(0, 0.1, depth).tolist()
        # In training a frame (B, F) or a joint (B, J) drops out of a block as a whole.
        self.STEblocks = nn.ModuleList(
            TransformerBlock(SpatialAttention(channel, num_heads, qkv_bias=True), d_hid, DropPath(rate, samples=(0, 1)))
            for rate in rates
        )
        self.TTEblocks = nn.ModuleList(
            TransformerBlock(TemporalAttention(channel, num_heads, qkv_bias=True), d_hid, DropPath(rate, samples=(0, 2)))
            for rate in rates
        )
        self.Spatial_norm = nn.LayerNorm(channel, eps=1e-6)
        self.Temporal_norm = nn.LayerNorm(channel, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(channel), nn.Linear(channel, 3))

    def front(self, x: Tensor, level: int) -> Tensor:
        return self.levels(self.Spatial_patch_to_embedding(x) + self.Spatial_pos_embed, 0, level)  # (B, F, J, C)

    def back(self, stream: Tensor, level: int) -> Tensor:
        return self.levels(stream, level, self.depth)

    def levels(self, stream: Tensor, first: int, last: int) -> Tensor:
        """Run block pairs ``first`` to ``last - 1``; all pairs share the two norms."""
        for i in range(first, last):
            stream = self.Spatial_norm(self.STEblocks[i](stream))
            if i == 0:
                stream = stream + self.Temporal_pos_embed[:, :, None]
            stream = self.Temporal_norm(self.TTEblocks[i](stream))
        return stream

    def regress(self, stream: Tensor) -> Tensor:
        return self.head(stream)

    def pooled(self, stream: Tensor) -> Tensor:
        return stream.mean(dim=2)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        return None if "x_token" in shapes else infer_backbone(shapes)


@register("hot_mixste")
class HotMixSTE(Hourglass, MixSTE):
    """MixSTE that runs the block pairs from ``layer_index`` on with ``token_num`` frames; all frames come out."""

    assumed = ("num_heads", "layer_index")

    def __init__(
        self,
        frames: int = 243,
        channel: int = 512,
        d_hid: int = 1024,
        depth: int = 8,
        num_heads: int = 8,
        n_joints: int = 17,
        token_num: int = 81,
        layer_index: int = 3,
    ) -> None:
        super().__init__(frames, channel, d_hid, depth, num_heads, n_joints)
        self.tokenize(layer_index, range(1, depth), token_num, channel, num_heads)
        move_to_end(self, "Spatial_pos_embed", "Temporal_pos_embed", "x_token", "Spatial_norm", "Temporal_norm", "head")

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        config = infer_backbone(shapes)
        if config is None or "x_token" not in shapes:
            return None
        # The cut leaves no trace in shapes: the published one, or before the last pair of a shallower network.
        return config | {"token_num": shapes["pos_embed_token"][1], "layer_index": min(3, config["depth"] - 1)}


@register("tpc_mixste")
class TpcMixSTE(CenterPruning, MixSTE):
    """MixSTE that runs the block pairs from ``layer_index`` on with ``token_num`` frames, for the centre pose."""

    assumed = ("num_heads", "token_num", "layer_index")

    def __init__(
        self,
        frames: int = 243,
        channel: int = 512,
        d_hid: int = 1024,
        depth: int = 8,
        num_heads: int = 8,
        n_joints: int = 17,
        token_num: int = 61,
        layer_index: int = 7,
    ) -> None:
        super().__init__(frames, channel, d_hid, depth, num_heads, n_joints)
        self.prune(layer_index, range(1, depth), token_num, keep_center=True)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Return a configuration for MixSTE's weights, which these are: the name has to be given to load them so."""
        config = super().infer_config(shapes)
        if config is None:
            return None
        # Pruning leaves no trace in shapes: the published share of frames, before the last pair.
        return config | {"token_num": (config["frames"] + 1) // 4, "layer_index": config["depth"] - 1}


def infer_backbone(shapes: Shapes) -> dict[str, Any] | None:
    """Return the configuration of MixSTE's part of a state dict, or None."""
    if not {"Spatial_patch_to_embedding.weight", "Temporal_pos_embed", "TTEblocks.0.mlp.fc1.weight"} <= shapes.keys():
        return None
    _, frames, channel = shapes["Temporal_pos_embed"]
    return {
        "frames": frames,
        "channel": channel,
        "d_hid": shapes["TTEblocks.0.mlp.fc1.weight"][0],
        "depth": sum(key.startswith("TTEblocks.") and key.endswith(".mlp.fc1.weight") for key in shapes),
        "num_heads": 8,  # shapes cannot tell
        "n_joints": shapes["Spatial_pos_embed"][1],
    }
