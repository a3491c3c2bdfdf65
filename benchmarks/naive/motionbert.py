"""MotionBERT in its published form, alone and with the Hourglass Tokenizer: attention on tensors of five axes."""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.naive.layers import PublishedAttention, PublishedCrossAttention
from benchmarks.naive.tokens import PublishedDensityPeaks, PublishedPruning, PublishedRecovery
from poseedge.models.layers import CrossAttention, SpatialAttention, TemporalAttention
from poseedge.models.motionbert import HotMotionBERT
from poseedge.models.pruning import DensityPeaks


class PublishedSpatialAttention(PublishedAttention):
    """Between the joints of each frame of ``(B, F, J, C)``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, 1)).reshape(x.shape)


class PublishedTemporalAttention(TemporalAttention):
    """Between the frames of each joint of ``(B, F, J, C)``, on ``(B, heads, J, F, hd)``."""

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, joints, width = x.shape
        head_width = width // self.heads
        heads = (batch, frames, self.heads, joints, head_width)
        qkv = self.qkv(x.flatten(0, 1)).reshape(batch * frames, joints, 3, self.heads, head_width).permute(2, 0, 3, 1, 4)
        q, k, v = (part.reshape(heads).permute(0, 2, 3, 1, 4) for part in (qkv[0], qkv[1], qkv[2]))
        weights = (q @ k.transpose(-2, -1) * head_width**-0.5).softmax(dim=-1)  # (B, heads, J, F, F)
        mixed = (weights @ v).permute(0, 3, 2, 1, 4).reshape(batch * frames, joints, width)
        return self.proj_drop(self.proj(mixed)).reshape(x.shape)


class PublishedHotMotionBERT(PublishedRecovery, PublishedPruning, HotMotionBERT):
    """Pruning and recovering."""


FORMS: dict[type[nn.Module], type[nn.Module]] = {
    HotMotionBERT: PublishedHotMotionBERT,
    SpatialAttention: PublishedSpatialAttention,
    TemporalAttention: PublishedTemporalAttention,
    CrossAttention: PublishedCrossAttention,
    DensityPeaks: PublishedDensityPeaks,
}
