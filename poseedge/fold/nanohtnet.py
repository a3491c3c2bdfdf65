"""NanoHTNet folded: no FFT, gather, scatter, convolution or 5-D tensor; the two heads and all norms' affines merged."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.errors import PoseedgeError
from poseedge.fold.algebra import (
    Dense,
    FoldedAttention,
    FoldedGraphConv,
    FoldedMLP,
    Whiten,
    after_norm,
    batch_axes,
    constant,
    dense,
    dense_after_norm,
    double,
)
from poseedge.fold.registry import differentiable_fold
from poseedge.models.nanohtnet import (
    FROM_LIMB,
    FROM_TIP,
    GBI,
    IPC,
    LGC,
    LIMBS,
    NanoHTNet,
    SpatialBlock,
    TemporalBlock,
    dct_matrix,
)
from poseedge.skeleton import NUM_JOINTS


class FoldedLGC(nn.Module):
    """Joint level."""

    def __init__(self, lgc: LGC) -> None:
        super().__init__()
        self.norm1 = lgc.norm_gcn1
        self.gcn1 = FoldedGraphConv(lgc.gcn1)
        self.gcn2 = FoldedGraphConv(lgc.gcn2)
        self.norm2 = lgc.norm_gcn2

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm2(self.gcn2(F.gelu(self.gcn1(self.norm1(x)))))


class FoldedIPC(nn.Module):
    """Limb level: both convolutions as one Linear over limb rows, the write-back as one constant 0/1 product.

    ``out = x + (z * G + B) + S @ p`` with ``z`` the whitened input, ``p`` the eight limb vectors (limb-major, branch
    minor), and G, B the norms' affine parts of those joints that keep their own feature.
    """

    limb_joints: Tensor

    def __init__(self, ipc: IPC) -> None:
        super().__init__()
        self.width = ipc.conv1.out_channels
        self.norm = Whiten(ipc.norm_conv1)
        self.conv = merged_convolutions(ipc)
        self.norm_mlp = Whiten(ipc.norm_conv1_mlp)
        self.fc1_3 = dense_after_norm(ipc.norm_conv1_mlp, ipc.mlp_down_1.fc1)
        self.fc1_2 = dense_after_norm(ipc.norm_conv2_mlp, ipc.mlp_down_2.fc1)
        self.fc2_3 = dense(ipc.mlp_down_1.fc2)
        self.fc2_2 = dense(ipc.mlp_down_2.fc2)
        keep3, keep2 = (double(torch.tensor([[source < 17] for source in table])) for table in (FROM_LIMB, FROM_TIP))
        self.scale = constant(keep3 * double(ipc.norm_conv1.weight) + keep2 * double(ipc.norm_conv2.weight))
        self.shift = constant(keep3 * double(ipc.norm_conv1.bias) + keep2 * double(ipc.norm_conv2.bias))
        self.placement = constant(placement_matrix())
        self.register_buffer("limb_joints", torch.tensor(sum(LIMBS, ())), persistent=False)  # as numbers, no CUDA graph takes it

    def forward(self, joints: Tensor, limbs: Tensor) -> Tensor:
        x = limbs + joints
        z = self.norm(x)
        rows = z[..., self.limb_joints, :].reshape(*batch_axes(x), 4, 3 * self.width)
        p = F.gelu(self.conv(rows))  # (..., 4, 2d)
        q = self.norm_mlp(p.reshape(*batch_axes(x), 8, self.width)).reshape(*batch_axes(x), 4, 2 * self.width)
        three, two = q.split(self.width, dim=-1)
        three, two = self.fc2_3(F.gelu(self.fc1_3(three))), self.fc2_2(F.gelu(self.fc1_2(two)))
        p = p + torch.cat([three, two], dim=-1)
        kept = x + (z * self.scale + self.shift)
        return kept + self.placement @ p.reshape(*batch_axes(x), 8, self.width)


def merged_convolutions(ipc: IPC) -> Dense:
    """``(3d) -> (2d)``: the kernel-3 convolution, then the kernel-2 one with a zero first tap, norms folded in."""
    parts = []
    for norm, conv, taps in ((ipc.norm_conv1, ipc.conv1, (0, 1, 2)), (ipc.norm_conv2, ipc.conv2, (1, 2))):
        assert conv.bias is not None
        weight = torch.zeros(3, conv.in_channels, conv.out_channels, dtype=torch.float64)
        bias = double(conv.bias)
        for tap, place in enumerate(taps):
            weight[place], shift = after_norm(norm, double(conv.weight[:, :, tap]).T)
            bias = bias + shift
        parts.append((weight.reshape(-1, conv.out_channels), bias))
    return Dense(torch.cat([w for w, _ in parts], dim=1), torch.cat([b for _, b in parts]))


def placement_matrix() -> Tensor:
    """Return the 0/1 ``(17, 8)`` matrix that adds each limb vector to the joints that it replaces."""
    matrix = torch.zeros(NUM_JOINTS, 8)
    for branch, table in enumerate((FROM_LIMB, FROM_TIP)):
        for joint, source in enumerate(table):
            if source >= NUM_JOINTS:
                matrix[joint, 2 * (source - NUM_JOINTS) + branch] = 1.0
    return matrix


class FoldedGBI(nn.Module):
    """Body level."""

    def __init__(self, gbi: GBI) -> None:
        super().__init__()
        self.attention = FoldedAttention(gbi.norm_attn, gbi.attn)

    def forward(self, context: Tensor, x: Tensor) -> Tensor:
        x = x + context
        return x + self.attention(x)


class FoldedTemporalBlock(nn.Module):
    """Joint level, then body level."""

    def __init__(self, block: TemporalBlock) -> None:
        super().__init__()
        self.lgc, self.gbi = FoldedLGC(block.lgc), FoldedGBI(block.gbi)
        self.mlp = FoldedMLP(block.norm_mlp, block.mlp)

    def forward(self, x: Tensor) -> Tensor:
        joints, body = x.split(x.shape[-1] // 2, dim=-1)
        joints = self.lgc(joints)
        y = torch.cat([joints, self.gbi(joints, body)], dim=-1)
        return y + self.mlp(y)


class FoldedSpatialBlock(nn.Module):
    """Joint, limb and body level."""

    def __init__(self, block: SpatialBlock) -> None:
        super().__init__()
        self.lgc, self.ipc, self.gbi = FoldedLGC(block.lgc), FoldedIPC(block.ipc), FoldedGBI(block.gbi)
        self.mlp = FoldedMLP(block.norm_mlp, block.mlp)

    def forward(self, x: Tensor) -> Tensor:
        joints, limbs, body = x.split(x.shape[-1] // 3, dim=-1)
        joints = self.lgc(joints)
        limbs = self.ipc(joints, limbs)
        y = torch.cat([joints, limbs, self.gbi(limbs, body)], dim=-1)
        return y + self.mlp(y)


class FoldedNanoHTNet(nn.Module):
    """``(1, F, 17, 2)``, or ``(B, F, 17, 2)`` with ``free_batch``, to ``(B, K, 17, 3)``.

    Both streams' last norm, ``fcn_spa``, ``fcn_tem`` and ``fc`` become one Linear each, whose results add up to the
    pose: slot k of joint j is ``spatial[j] A_s[k] + temporal[k] A_t[j] + constant``.
    """

    def __init__(self, network: NanoHTNet, free_batch: bool) -> None:
        super().__init__()
        if not isinstance(network.fc, nn.Linear):
            raise PoseedgeError("a NanoHTNet with the pre-training head gives codes, not poses", "export a fine-tuned checkpoint")
        self.lead = (-1,) if free_batch else ()
        self.frames, self.slots = network.frames, network.keep_frames
        self.dct = constant(torch.from_numpy(dct_matrix(self.frames, self.slots)))

        embed = network.tem_patch_embed
        self.temporal_embed = Dense(double(embed.weight).T, double(embed.bias) + double(network.tem_pos_embed[0]))
        self.temporal = nn.ModuleList(FoldedTemporalBlock(block) for block in network.tem_Transformer.blocks)  # type: ignore[arg-type]
        self.temporal_norm = Whiten(network.tem_Transformer.Temporal_norm)

        embed = network.patch_embed
        self.spatial_embed = Dense(double(embed.weight).T, double(embed.bias) + double(network.pos_embed[0]))
        self.spatial = nn.ModuleList(FoldedSpatialBlock(block) for block in network.Transformer.blocks)  # type: ignore[arg-type]
        self.spatial_norm = Whiten(network.Transformer.Temporal_norm)
        self.spatial_head, self.temporal_head = merged_heads(network)

    def forward(self, keypoints: Tensor) -> Tensor:
        rows = keypoints.reshape(*self.lead, self.frames, 2 * NUM_JOINTS)
        temporal = self.temporal_embed(self.dct @ rows)  # (..., K, C)
        for block in self.temporal:
            temporal = block(temporal)

        tracks = keypoints.reshape(*self.lead, self.frames, NUM_JOINTS, 2).transpose(-3, -2)
        spatial = self.spatial_embed(tracks.reshape(*self.lead, NUM_JOINTS, 2 * self.frames))  # (..., 17, C)
        for block in self.spatial:
            spatial = block(spatial)

        by_joint = self.spatial_head(self.spatial_norm(spatial)).reshape(*self.lead, NUM_JOINTS, self.slots, 3)
        by_slot = self.temporal_head(self.temporal_norm(temporal)).reshape(*self.lead, self.slots, NUM_JOINTS, 3)
        return (by_joint.transpose(-3, -2) + by_slot).reshape(-1, self.slots, NUM_JOINTS, 3)


def merged_heads(network: NanoHTNet) -> tuple[Dense, Dense]:
    """Return ``A_s (C, 3K)`` without bias, and ``A_t (C, 3 * 17)`` with all constants, ``(K, 51)``."""
    slots, hid = network.keep_frames, network.hid
    assert isinstance(network.fc, nn.Linear)
    regress = double(network.fc.weight).T  # (2h, 3)

    def merge(linear: nn.Linear, norm: nn.LayerNorm, groups: int, part: Tensor) -> tuple[Tensor, Tensor]:
        weight = (double(linear.weight).T.reshape(-1, groups, hid) @ part).reshape(-1, 3 * groups)
        bias = (double(linear.bias).reshape(groups, hid) @ part).reshape(-1)
        return after_norm(norm, weight, bias)

    spatial, by_slot = merge(network.fcn_spa, network.Transformer.Temporal_norm, slots, regress[:hid])
    temporal, by_joint = merge(network.fcn_tem, network.tem_Transformer.Temporal_norm, NUM_JOINTS, regress[hid:])
    constants = by_slot.reshape(slots, 1, 3) + by_joint.reshape(1, NUM_JOINTS, 3) + double(network.fc.bias)
    return Dense(spatial, None), Dense(temporal, constants.reshape(slots, -1))


@differentiable_fold.register
def _(network: NanoHTNet, free_batch: bool = False) -> nn.Module:
    return FoldedNanoHTNet(network, free_batch).eval()
