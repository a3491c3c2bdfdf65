"""HTNet (Cai et al., ICASSP 2023, arXiv 2302.09790): one frame in, its pose out.

A block sends channel thirds through joint (LGC), limb (IPC) and body (GBI) level interaction, each fed by the one
before. Its descendant NanoHTNet has kept these blocks for its spatial stream, so they stand there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poseedge.errors import PoseedgeError
from poseedge.models.nanohtnet import BlockStack, SpatialBlock, spatial_adjacency
from poseedge.models.network import LiftingNetwork, Shapes
from poseedge.models.refine import RefineNetwork
from poseedge.models.registry import register
from poseedge.skeleton import NUM_JOINTS

DROPOUT = 0.1
REFINE_HIDDEN = 1024


@register("htnet")
class HTNet(LiftingNetwork):
    """``(B, 1, 17, 2)`` to ``(B, 1, 17, 3)``.

    As in the published code, more ``frames`` than one are lifted one by one and stay folded into the batch: row
    ``b * frames + f`` of the ``(B * frames, 1, 17, 3)`` output is frame ``f`` of window ``b``.
    """

    def __init__(
        self,
        frames: int = 1,
        channel: int = 240,
        layers: int = 3,
        d_hid: int = 1024,
        n_joints: int = NUM_JOINTS,
        out_joints: int = NUM_JOINTS,
    ) -> None:
        super().__init__()
        if n_joints != NUM_JOINTS or out_joints != NUM_JOINTS:
            raise PoseedgeError(f"htnet is built on 17 joints, not {n_joints} -> {out_joints}", "its limb lists are fixed")
        if channel % 24:
            raise PoseedgeError(f"htnet needs a channel that is a multiple of 24, not {channel}", "the default is 240")
        self.frames = frames
        self.pos_embed = nn.Parameter(torch.zeros(1, NUM_JOINTS, channel))
        self.patch_embed = nn.Linear(2, channel)
        graph = spatial_adjacency()
        drop_path = np.linspace(0.1, 0.3, layers).tolist()
        self.Hiremixer = BlockStack([SpatialBlock(channel, d_hid, graph, DROPOUT, rate) for rate in drop_path], channel)
        self.fcn = nn.Linear(channel, 3)

    @property
    def output_frames(self) -> tuple[int, ...]:
        return (0,)

    def forward(self, x: Tensor) -> Tensor:
        joints = self.patch_embed(x.reshape(-1, NUM_JOINTS, 2)) + self.pos_embed  # (B, 17, C)
        return self.fcn(self.Hiremixer(joints)).unsqueeze(1)  # (B, 1, 17, 3)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Tell channel, layers and d_hid; ``frames`` leaves no trace in the weights and takes its default."""
        if not {"Hiremixer.blocks.0.ipc.conv1.weight", "fcn.weight"} <= shapes.keys():
            return None
        return {
            "channel": shapes["pos_embed"][2],
            "layers": sum(key.endswith(".norm_mlp.weight") for key in shapes),
            "d_hid": shapes["Hiremixer.blocks.0.mlp.fc1.weight"][0],
        }


@register("htnet_refine")
class HTNetRefine(RefineNetwork):
    """HTNet's refinement layer; same weights and result as ``strided_transformer_refine``."""

    def __init__(self, in_channels: int = 2, out_channels: int = 3, n_joints: int = NUM_JOINTS) -> None:
        super().__init__(n_joints, REFINE_HIDDEN, blended=in_channels, coordinates=out_channels)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        sizes = cls.sizes(shapes)
        return {"n_joints": sizes.n_joints} if sizes and sizes.hidden == REFINE_HIDDEN else None
