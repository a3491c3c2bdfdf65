"""Strided Transformer in its published form: shortcuts by pooling, and the training head beside the other."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.models.strided_transformer import Residual


class PublishedResidual(Residual):
    """The shortcut by a max pool over windows of one frame."""

    def forward(self, x: Tensor, branch: nn.Module) -> Tensor:
        shortcut = x
        if self.stride != 1:
            shortcut = F.max_pool1d(x.permute(0, 2, 1), kernel_size=1, stride=self.stride).permute(0, 2, 1)
        return shortcut + self.dropout(branch(self.norm(x)))


FORMS: dict[type[nn.Module], type[nn.Module]] = {Residual: PublishedResidual}
