"""NanoHTNet (Cai et al., IEEE TIP 2025, arXiv 2501.15763): many frames in, the few centre frames out.

Two streams that meet in the last layer: a temporal one over low DCT frequencies, a spatial one over joints.
A block sends channel groups through joint (LGC), limb (IPC, spatial only) and body (GBI) level interaction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.arrays import Float64Array
from poseedge.errors import PoseedgeError
from poseedge.models.layers import MLP, Attention, DropPath, ModulatedGraphConv
from poseedge.models.network import LiftingNetwork, Shapes
from poseedge.models.registry import register
from poseedge.skeleton import NUM_JOINTS, bone_adjacency

HEADS = 8
GRAPH_HIDDEN = 384

# Limbs as rows of three joints, and of their outer two: what IPC's two convolutions see.
LIMBS = ((1, 2, 3), (4, 5, 6), (11, 12, 13), (14, 15, 16))
OUTER = tuple(limb[1:] for limb in LIMBS)
# Where each joint's limb feature comes from: its own row (< 17), or limb row 17 + i.
FROM_LIMB = [17 + [j in limb for limb in OUTER].index(True) if any(j in limb for limb in OUTER) else j for j in range(17)]
FROM_TIP = [17 + [j == limb[-1] for limb in OUTER].index(True) if any(j == limb[-1] for limb in OUTER) else j for j in range(17)]


def dct_matrix(frames: int, keep: int) -> Float64Array:
    """Return the ``(keep, frames)`` unnormalised DCT-II: ``X[k] = 2 sum_n x[n] cos(pi k (2n+1) / (2F))``."""
    k, n = np.arange(keep)[:, None], np.arange(frames)[None, :]
    return np.asarray(2 * np.cos(np.pi * k * (2 * n + 1) / (2 * frames)))


def spatial_adjacency() -> Float64Array:
    """Return bones divided by the degree of their row's joint, with a diagonal of ones: rows sum to 2."""
    bones = bone_adjacency()
    return bones / bones.sum(axis=1, keepdims=True) + np.eye(NUM_JOINTS)


def temporal_adjacency(tokens: int) -> Float64Array:
    """Return ones on the main and the two neighbouring diagonals, not normalised."""
    distance = np.abs(np.subtract.outer(np.arange(tokens), np.arange(tokens)))
    return (distance <= 1).astype(np.float64)


class LGC(nn.Module):
    """Joint level: two modulated graph convolutions on a normalised residual branch."""

    def __init__(self, width: int, adjacency: Float64Array, drop_path: float) -> None:
        super().__init__()
        self.norm_gcn1 = nn.LayerNorm(width)
        self.gcn1 = ModulatedGraphConv(width, GRAPH_HIDDEN, adjacency)
        self.gcn2 = ModulatedGraphConv(GRAPH_HIDDEN, width, adjacency)
        self.norm_gcn2 = nn.LayerNorm(width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.gcn2(F.gelu(self.gcn1(self.norm_gcn1(x))))
        return x + self.drop_path(self.norm_gcn2(branch))


class IPC(nn.Module):
    """Limb level: convolutions over limbs of three and of two joints replace the outer joints' features."""

    limbs: Tensor
    outer: Tensor
    from_limb: Tensor
    from_tip: Tensor

    def __init__(self, width: int, hidden: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.norm_conv1 = nn.LayerNorm(width)
        self.conv1 = nn.Conv1d(width, width, kernel_size=3, stride=3)
        self.norm_conv1_mlp = nn.LayerNorm(width)
        self.mlp_down_1 = MLP(width, hidden, dropout)
        self.norm_conv2 = nn.LayerNorm(width)
        self.conv2 = nn.Conv1d(width, width, kernel_size=2, stride=2)
        self.norm_conv2_mlp = nn.LayerNorm(width)
        self.mlp_down_2 = MLP(width, hidden, dropout)
        self.drop_path = DropPath(drop_path)
        # As buffers: an index that is written as numbers is copied to the GPU in every call, which no CUDA graph takes.
        places = {"limbs": sum(LIMBS, ()), "outer": sum(OUTER, ()), "from_limb": FROM_LIMB, "from_tip": FROM_TIP}
        for name, joints in places.items():
            self.register_buffer(name, torch.tensor(joints), persistent=False)

    def forward(self, joints: Tensor, limbs: Tensor) -> Tensor:
        x = limbs + joints
        x1, x2 = self.norm_conv1(x), self.norm_conv2(x)
        p1 = self.pool(x1, self.limbs, self.conv1)
        p1 = p1 + self.drop_path(self.mlp_down_1(self.norm_conv1_mlp(p1)))
        p2 = self.pool(x2, self.outer, self.conv2)
        p2 = p2 + self.drop_path(self.mlp_down_2(self.norm_conv2_mlp(p2)))
        o1 = torch.cat([x1, p1], dim=1)[:, self.from_limb]
        o2 = torch.cat([x2, p2], dim=1)[:, self.from_tip]
        return o1 + o2 + x

    def pool(self, x: Tensor, joints: Tensor, conv: nn.Module) -> Tensor:
        """One vector per limb: ``(B, 17, d)`` to ``(B, 4, d)``."""
        rows = x[:, joints].transpose(1, 2)
        return self.drop_path(F.gelu(conv(rows).transpose(1, 2)))


class GBI(nn.Module):
    """Body level: attention between all tokens."""

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.norm_attn = nn.LayerNorm(width)
        self.attn = Attention(width, HEADS, qkv_bias=True, dropout=0.1)
        self.drop_path = DropPath(drop_path)

    def forward(self, context: Tensor, x: Tensor) -> Tensor:
        x = x + context
        return x + self.drop_path(self.attn(self.norm_attn(x)))


class TemporalBlock(nn.Module):
    """Channel halves: joint level, then body level."""

    def __init__(self, channel: int, hidden: int, adjacency: Float64Array, drop_path: float) -> None:
        super().__init__()
        width = channel // 2
        self.lgc = LGC(width, adjacency, drop_path)
        self.gbi = GBI(width, drop_path)
        self.norm_mlp = nn.LayerNorm(channel, eps=1e-6)
        self.mlp = MLP(channel, hidden, dropout=0.1)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        joints, body = x.chunk(2, dim=-1)
        joints = self.lgc(joints)
        body = self.gbi(joints, body)
        y = torch.cat([joints, body], dim=-1)
        return y + self.drop_path(self.mlp(self.norm_mlp(y)))


class SpatialBlock(nn.Module):
    """Channel thirds: joint, limb and body level, each fed by the one before. HTNet is made of the same blocks."""

    def __init__(self, channel: int, hidden: int, adjacency: Float64Array, dropout: float, drop_path: float) -> None:
        super().__init__()
        width = channel // 3
        self.lgc = LGC(width, adjacency, drop_path)
        self.ipc = IPC(width, hidden, dropout, drop_path)
        self.gbi = GBI(width, drop_path)
        self.norm_mlp = nn.LayerNorm(channel, eps=1e-6)
        self.mlp = MLP(channel, hidden, dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        joints, limbs, body = x.chunk(3, dim=-1)
        joints = self.lgc(joints)
        limbs = self.ipc(joints, limbs)
        body = self.gbi(limbs, body)
        y = torch.cat([joints, limbs, body], dim=-1)
        return y + self.drop_path(self.mlp(self.norm_mlp(y)))


class BlockStack(nn.Module):
    """Blocks and the closing norm."""

    def __init__(self, blocks: list[nn.Module], channel: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.Temporal_norm = nn.LayerNorm(channel, eps=1e-6)  # published name, in both streams

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.Temporal_norm(x)


class PretrainHead(nn.Sequential):
    """The projection of contrastive pre-training: nine frames to one non-negative code per joint."""

    def __init__(self, width: int, feature_dim: int) -> None:
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, feature_dim),
            nn.LayerNorm(feature_dim),
            nn.Conv2d(9, 1, kernel_size=1),
            nn.ReLU(),
        )


@register("nanohtnet")
class NanoHTNet(LiftingNetwork):
    """``(B, frames, 17, 2)`` to ``(B, keep_frames, 17, 3)``: the ``keep_frames`` poses around the window's centre."""

    dct: Tensor

    def __init__(
        self,
        frames: int = 243,
        keep_frames: int = 9,
        channel: int = 240,
        layers: int = 3,
        d_hid: int = 256,
        hid: int = 8,
        n_joints: int = NUM_JOINTS,
        out_joints: int = NUM_JOINTS,
        pretrain: bool = False,
        feature_dim: int = 8,
    ) -> None:
        super().__init__()
        check_config(frames, keep_frames, channel, n_joints, out_joints, pretrain)
        self.frames = frames
        self.keep_frames = keep_frames
        self.hid = hid
        drop_path = np.linspace(0.1, 0.3, layers).tolist()

        self.register_buffer("dct", torch.from_numpy(dct_matrix(frames, keep_frames)).float(), persistent=False)
        self.tem_pos_embed = nn.Parameter(torch.zeros(1, keep_frames, channel))
        self.tem_patch_embed = nn.Linear(2 * NUM_JOINTS, channel)
        graph = temporal_adjacency(keep_frames)
        self.tem_Transformer = BlockStack([TemporalBlock(channel, d_hid, graph, rate) for rate in drop_path], channel)
        self.fcn_tem = nn.Linear(channel, NUM_JOINTS * hid)

        self.pos_embed = nn.Parameter(torch.zeros(1, NUM_JOINTS, channel))
        self.patch_embed = nn.Linear(2 * frames, channel)
        graph = spatial_adjacency()
        self.Transformer = BlockStack([SpatialBlock(channel, d_hid, graph, 0.15, rate) for rate in drop_path], channel)
        self.fcn_spa = nn.Linear(channel, hid * keep_frames)

        self.fc = PretrainHead(2 * hid, feature_dim) if pretrain else nn.Linear(2 * hid, 3)

    @property
    def output_frames(self) -> tuple[int, ...]:
        first = (self.frames - 1) // 2 - self.keep_frames // 2
        return tuple(range(first, first + self.keep_frames))

    def forward(self, x: Tensor) -> Tensor:
        batch = x.shape[0]
        frequencies = self.dct @ x.reshape(batch, self.frames, 2 * NUM_JOINTS)  # (B, K, 34)
        temporal = self.tem_Transformer(self.tem_patch_embed(frequencies) + self.tem_pos_embed)  # (B, K, C)
        temporal = self.fcn_tem(temporal).reshape(batch, self.keep_frames, NUM_JOINTS, self.hid)

        tracks = x.transpose(1, 2).reshape(batch, NUM_JOINTS, 2 * self.frames)
        spatial = self.Transformer(self.patch_embed(tracks) + self.pos_embed)  # (B, 17, C)
        spatial = self.fcn_spa(spatial).reshape(batch, NUM_JOINTS, self.keep_frames, self.hid).transpose(1, 2)

        return self.fc(torch.cat([spatial, temporal], dim=-1))  # (B, K, 17, 3)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        if not {"tem_pos_embed", "patch_embed.weight", "Transformer.blocks.0.ipc.conv1.weight"} <= shapes.keys():
            return None
        _, keep_frames, channel = shapes["tem_pos_embed"]
        pretrain = "fc.1.weight" in shapes
        return {
            "frames": shapes["patch_embed.weight"][1] // 2,
            "keep_frames": keep_frames,
            "channel": channel,
            "layers": sum(key.startswith("Transformer.") and key.endswith(".mlp.fc1.weight") for key in shapes),
            "d_hid": shapes["Transformer.blocks.0.mlp.fc1.weight"][0],
            "hid": shapes["fcn_tem.weight"][0] // NUM_JOINTS,
            "pretrain": pretrain,
            **({"feature_dim": shapes["fc.1.weight"][0]} if pretrain else {}),
        }


def check_config(frames: int, keep_frames: int, channel: int, n_joints: int, out_joints: int, pretrain: bool) -> None:
    """Refuse a configuration that the architecture cannot have."""
    if n_joints != NUM_JOINTS or out_joints != NUM_JOINTS:
        raise PoseedgeError(f"nanohtnet is built on 17 joints, not {n_joints} -> {out_joints}", "its limb lists are fixed")
    if channel % 48:
        raise PoseedgeError(f"nanohtnet needs a channel that is a multiple of 48, not {channel}", "the default is 240")
    if not 1 <= keep_frames <= frames:
        raise PoseedgeError(f"keep_frames={keep_frames} must lie between 1 and frames={frames}")
    if pretrain and keep_frames != 9:
        raise PoseedgeError(f"the pre-training head is fixed to keep_frames=9, not {keep_frames}")
