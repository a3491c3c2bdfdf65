"""GraphMLP in its published form: graph convolutions by a convolution over pixels and an einsum over five axes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from poseedge.models.graphmlp import GRAPHS, GraphConv


class PublishedGraphConv(GraphConv):
    """A pointwise convolution on ``(B, C, 1, 17)``, then the adjacency at run time."""

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.conv(x.permute(0, 2, 1).unsqueeze(2))  # (B, 4C, 1, 17)
        batch, channel, frames, joints = mixed.shape
        mixed = mixed.view(batch, GRAPHS, channel // GRAPHS, frames, joints)
        return torch.einsum("nkctv,kvw->nctw", mixed, self.adj).squeeze(2).permute(0, 2, 1)


FORMS: dict[type[nn.Module], type[nn.Module]] = {GraphConv: PublishedGraphConv}
