"""HTNet folded: NanoHTNet's spatial block, with the embedding's constants and the last norm's affine merged."""

from __future__ import annotations

from torch import Tensor, nn

from poseedge.fold.algebra import Dense, Whiten, dense_after_norm, double
from poseedge.fold.nanohtnet import FoldedSpatialBlock
from poseedge.fold.registry import differentiable_fold
from poseedge.models.htnet import HTNet
from poseedge.skeleton import NUM_JOINTS


class FoldedHTNet(nn.Module):
    """``(1, F, 17, 2)``, or ``(B, F, 17, 2)`` with ``free_batch``, to ``(B * F, 1, 17, 3)``; every frame on its own."""

    def __init__(self, network: HTNet, free_batch: bool) -> None:
        super().__init__()
        self.lead = (-1,) if free_batch or network.frames > 1 else ()
        embed = network.patch_embed
        self.embed = Dense(double(embed.weight).T, double(embed.bias) + double(network.pos_embed[0]))
        self.blocks = nn.ModuleList(FoldedSpatialBlock(block) for block in network.Hiremixer.blocks)  # type: ignore[arg-type]
        self.norm = Whiten(network.Hiremixer.Temporal_norm)
        self.head = dense_after_norm(network.Hiremixer.Temporal_norm, network.fcn)

    def forward(self, keypoints: Tensor) -> Tensor:
        x = self.embed(keypoints.reshape(*self.lead, NUM_JOINTS, 2))  # (..., 17, C)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).reshape(-1, 1, NUM_JOINTS, 3)


@differentiable_fold.register
def _(network: HTNet, free_batch: bool = False) -> nn.Module:
    return FoldedHTNet(network, free_batch).eval()
