"""MixSTE folded, alone and with the Hourglass Tokenizer: one row per frame and joint from end to end."""

from __future__ import annotations

from torch import Tensor, nn

from poseedge.fold.algebra import Dense, Whiten, dense_after_norm, double
from poseedge.fold.attention import folded_block
from poseedge.fold.pruning import AddPositions, Recover, center_slot, pruning_of, tokens_at
from poseedge.fold.registry import differentiable_fold
from poseedge.models.mixste import HotMixSTE, MixSTE, TpcMixSTE


class FoldedMixSTE(nn.Module):
    """``(B, F, 17, 2)`` to ``(B, K, 17, 3)``; for the centre pose the last temporal block has one query."""

    def __init__(self, network: MixSTE, free_batch: bool) -> None:
        super().__init__()
        joints = network.Spatial_pos_embed.shape[1]
        self.joints, self.slots = joints, len(network.output_frames)
        embed = network.Spatial_patch_to_embedding
        self.embed = Dense(double(embed.weight).T, double(embed.bias) + double(network.Spatial_pos_embed[0]))
        self.positions = AddPositions(double(network.Temporal_pos_embed[0]), joints)
        self.level, self.prune = pruning_of(network, joints, free_batch)
        self.spatial = nn.ModuleList(folded_block(block, joints) for block in network.STEblocks)  # type: ignore[arg-type]
        self.temporal = nn.ModuleList(
            folded_block(block, tokens_at(network, i), joints)  # type: ignore[arg-type]
            for i, block in enumerate(network.TTEblocks)
        )
        self.center = center_slot(network) if isinstance(network, TpcMixSTE) else None
        self.spatial_norm, self.temporal_norm = network.Spatial_norm, network.Temporal_norm
        self.close = closing(network)

    def forward(self, keypoints: Tensor) -> Tensor:
        x = self.embed(keypoints.reshape(-1, self.joints, keypoints.shape[-1]))
        x = x.reshape(-1, x.shape[-1])
        last = len(self.spatial) - 1
        for i, (spatial, temporal) in enumerate(zip(self.spatial, self.temporal, strict=True)):
            if i == self.level:
                x = self.prune(x)
            x = self.spatial_norm(spatial(x))
            if i == 0:
                x = self.positions(x)
            if i < last:
                x = self.temporal_norm(temporal(x))
        return self.close(self.temporal[last](x, self.center)).reshape(-1, self.slots, self.joints, 3)


def closing(network: MixSTE) -> nn.Sequential:
    """Return what follows the last block: its norm, recovering if there is, and the head."""
    head_norm, head = network.head
    assert isinstance(head_norm, nn.LayerNorm)
    assert isinstance(head, nn.Linear)
    read = [Whiten(head_norm), dense_after_norm(head_norm, head)]
    if not isinstance(network, HotMixSTE):
        return nn.Sequential(network.Temporal_norm, *read)
    joints, tokens = network.Spatial_pos_embed.shape[1], tokens_at(network, network.depth - 1)
    return nn.Sequential(Whiten(network.Temporal_norm), Recover(network, network.Temporal_norm, tokens, joints), *read)


@differentiable_fold.register
def _(network: MixSTE, free_batch: bool = False) -> nn.Module:
    return FoldedMixSTE(network, free_batch).eval()
