"""Which networks have a folded form."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import nn

from poseedge.errors import PoseedgeError


@singledispatch
def differentiable_fold(network: nn.Module, free_batch: bool = False) -> nn.Module:
    """Do what ``fold`` does, and let gradients reach the network's own weights: for training in the folded form.

    What follows from those weights is then no parameter of the folded module.
    """
    raise PoseedgeError(f"{type(network).__name__} has no folded form", "export it as it is: fold = false in its recipe")


def fold(network: nn.Module, free_batch: bool = False) -> nn.Module:
    """Return a module whose ``forward`` equals ``network.lift`` on ``(1, T, 17, C)`` input, or on any batch with ``free_batch``.

    For a batch of one the batch axis is dropped inside, so that every Linear has rank 2.
    """
    with torch.no_grad():
        return differentiable_fold(network, free_batch)
