"""NanoHTNet and HTNet in their published form.

Limb features are written back by indexed assignment; graph convolutions stay unfolded, as they are in the plain networks.
Of NanoHTNet only the FFT, which no exporter takes, is a matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.naive.layers import PublishedAttention
from poseedge.models.layers import Attention
from poseedge.models.nanohtnet import IPC, LIMBS, OUTER


class PublishedIPC(IPC):
    """Limb features written over the outer joints, limb by limb."""

    def forward(self, joints: Tensor, limbs: Tensor) -> Tensor:
        x = limbs + joints
        x1, x2 = self.norm_conv1(x), self.norm_conv2(x)
        p1 = self.limb_features(x1, LIMBS, self.conv1, self.norm_conv1_mlp, self.mlp_down_1)
        p2 = self.limb_features(x2, OUTER, self.conv2, self.norm_conv2_mlp, self.mlp_down_2)
        o1, o2 = x1.clone(), x2.clone()
        for index, outer in enumerate(OUTER):
            o1[:, list(outer)] = p1[:, index].unsqueeze(1).repeat(1, 2, 1)
            o2[:, [outer[-1]]] = p2[:, index].unsqueeze(1).repeat(1, 1, 1)
        return o1 + o2 + x

    def limb_features(
        self, x: Tensor, limbs: tuple[tuple[int, ...], ...], conv: nn.Module, norm: nn.Module, mlp: nn.Module
    ) -> Tensor:
        """Convolve each limb's joints into one vector: ``(B, 17, d)`` to ``(B, 4, d)``."""
        rows = torch.cat([x[:, list(limb)] for limb in limbs], dim=1)
        pooled = F.gelu(conv(rows.permute(0, 2, 1)).permute(0, 2, 1))
        return pooled + mlp(norm(pooled))


FORMS: dict[type[nn.Module], type[nn.Module]] = {
    Attention: PublishedAttention,
    IPC: PublishedIPC,
}
