"""MixSTE in its published form, alone and with the Hourglass Tokenizer: the stream is rearranged between blocks."""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.naive.layers import PublishedAttention, PublishedCrossAttention
from benchmarks.naive.tokens import PublishedDensityPeaks, PublishedPruning, PublishedRecovery
from poseedge.models.layers import CrossAttention, SpatialAttention, TemporalAttention
from poseedge.models.mixste import HotMixSTE, MixSTE, TpcMixSTE
from poseedge.models.pruning import DensityPeaks


class PublishedMixSTE(MixSTE):
    """``(B F, J, C)`` for a spatial block, ``(B J, F, C)`` for a temporal one."""

    def levels(self, stream: Tensor, first: int, last: int) -> Tensor:
        batch, frames, joints, width = stream.shape
        for i in range(first, last):
            x = self.Spatial_norm(self.STEblocks[i](stream.reshape(batch * frames, joints, width)))
            x = x.reshape(batch, frames, joints, width).transpose(1, 2).reshape(batch * joints, frames, width)
            if i == 0:
                x = x + self.Temporal_pos_embed
            x = self.Temporal_norm(self.TTEblocks[i](x))
            stream = x.reshape(batch, joints, frames, width).transpose(1, 2)
        return stream


class PublishedHotMixSTE(PublishedRecovery, PublishedPruning, PublishedMixSTE, HotMixSTE):
    """Pruning and recovering."""


class PublishedTpcMixSTE(PublishedPruning, PublishedMixSTE, TpcMixSTE):
    """Pruning for the centre pose; the poses of all kept frames come out."""


FORMS: dict[type[nn.Module], type[nn.Module]] = {
    MixSTE: PublishedMixSTE,
    HotMixSTE: PublishedHotMixSTE,
    TpcMixSTE: PublishedTpcMixSTE,
    SpatialAttention: PublishedAttention,
    TemporalAttention: PublishedAttention,
    CrossAttention: PublishedCrossAttention,
    DensityPeaks: PublishedDensityPeaks,
}
