"""MHFormer in its published form, alone and pruned: the poses of all frames, where the centre's alone is wanted."""

from __future__ import annotations

from torch import nn

from benchmarks.naive.layers import PublishedAttention, PublishedCrossAttention
from benchmarks.naive.tokens import PublishedDensityPeaks, PublishedPruning
from poseedge.models.layers import Attention, CrossAttention
from poseedge.models.mhformer import TpcMHFormer
from poseedge.models.pruning import DensityPeaks


class PublishedTpcMHFormer(PublishedPruning, TpcMHFormer):
    """Pruning for the centre pose; the poses of all kept frames come out."""


FORMS: dict[type[nn.Module], type[nn.Module]] = {
    TpcMHFormer: PublishedTpcMHFormer,
    Attention: PublishedAttention,
    CrossAttention: PublishedCrossAttention,
    DensityPeaks: PublishedDensityPeaks,
}
