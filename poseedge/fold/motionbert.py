"""MotionBERT folded, alone and with the Hourglass Tokenizer: one row per frame and joint, fusion by one gate."""

from __future__ import annotations

from torch import Tensor, nn

from poseedge.fold.algebra import Dense, Whiten, after_norm, dense, double
from poseedge.fold.attention import FoldedBlock, affine
from poseedge.fold.pruning import Recover, pruning_of, tokens_at
from poseedge.fold.registry import differentiable_fold
from poseedge.models.motionbert import HotMotionBERT, MotionBERT, SpatioTemporalBlock


class FoldedLevel(nn.Module):
    """Both streams and their fusion; the two-way softmax is a sigmoid of the difference.

    All norms of a level have one epsilon, so the streams share the whitened input.
    """

    def __init__(self, st: SpatioTemporalBlock, ts: SpatioTemporalBlock, fusion: nn.Linear, frames: int, joints: int) -> None:
        super().__init__()
        self.norm = Whiten(st.norm1_s)
        self.st_spatial, self.st_temporal = spatial_block(st, joints), temporal_block(st, frames, joints)
        self.ts_temporal, self.ts_spatial = temporal_block(ts, frames, joints), spatial_block(ts, joints)
        weight, bias = affine(fusion)  # (2C, 2)
        by_st, by_ts = (weight[:, :1] - weight[:, 1:]).chunk(2)
        self.gate_st, self.gate_ts = Dense(by_st, None), Dense(by_ts, bias[:1] - bias[1:])

    def forward(self, x: Tensor) -> Tensor:
        z = self.norm(x)
        st = self.st_temporal(self.st_spatial.from_whitened(x, z))
        ts = self.ts_spatial(self.ts_temporal.from_whitened(x, z))
        return ts + (self.gate_st(st) + self.gate_ts(ts)).sigmoid() * (st - ts)


def spatial_block(block: SpatioTemporalBlock, joints: int) -> FoldedBlock:
    """Fold the sub-layer over joints."""
    return FoldedBlock((block.norm1_s, block.norm2_s), block.attn_s, block.mlp_s, joints)


def temporal_block(block: SpatioTemporalBlock, frames: int, joints: int) -> FoldedBlock:
    """Fold the sub-layer over frames."""
    return FoldedBlock((block.norm1_t, block.norm2_t), block.attn_t, block.mlp_t, frames, joints)


class FoldedMotionBERT(nn.Module):
    """``(B, maxlen, 17, 3)`` to ``(B, maxlen, 17, 3)``."""

    def __init__(self, network: MotionBERT, free_batch: bool) -> None:
        super().__init__()
        self.lead = (-1,) if free_batch else ()
        joints = network.pos_embed.shape[1]
        self.frames, self.joints = network.frames, joints
        embed = network.joints_embed
        positions = double(network.temp_embed[0]) + double(network.pos_embed)  # (F, J, C)
        self.embed = Dense(double(embed.weight).T, (positions + double(embed.bias)).flatten(0, 1))
        self.level, self.prune = pruning_of(network, joints, free_batch)
        parts = zip(network.blocks_st, network.blocks_ts, network.ts_attn, strict=True)
        self.levels = nn.ModuleList(
            FoldedLevel(st, ts, fusion, tokens_at(network, i), joints)  # type: ignore[arg-type]
            for i, (st, ts, fusion) in enumerate(parts)
        )
        self.norm = Whiten(network.norm)
        self.fc = representation(network)
        self.head = dense(network.head)

    def forward(self, keypoints: Tensor) -> Tensor:
        x = self.embed(keypoints.reshape(*self.lead, self.frames * self.joints, keypoints.shape[-1]))
        x = x.reshape(-1, x.shape[-1])
        for i, level in enumerate(self.levels):
            if i == self.level:
                x = self.prune(x)
            x = level(x)
        return self.head(self.fc(self.norm(x)).tanh()).reshape(-1, self.frames, self.joints, 3)


def representation(network: MotionBERT) -> nn.Module:
    """Return what makes the representation, but for its tanh, from whitened rows; recovering takes the Linear in."""
    fc = network.pre_logits.get_submodule("fc")
    assert isinstance(fc, nn.Linear)
    if not isinstance(network, HotMotionBERT):
        return Dense(*after_norm(network.norm, *affine(fc)))
    joints, tokens = network.pos_embed.shape[1], tokens_at(network, network.depth - 1)
    return Recover(network, network.norm, tokens, joints, affine(fc))


@differentiable_fold.register
def _(network: MotionBERT, free_batch: bool = False) -> nn.Module:
    return FoldedMotionBERT(network, free_batch).eval()
