"""Which networks have a folded form."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import nn

from poseedge.errors import PoseedgeError
from poseedge.models.flip import Lifting
from poseedge.models.network import LiftingNetwork


@singledispatch
def differentiable_fold(network: nn.Module, free_batch: bool = False) -> nn.Module:
    """Do what ``fold`` does, and let gradients reach the network's own weights: for training in the folded form.

    What follows from those weights is then no parameter of the folded module.
    """
    raise PoseedgeError(f"{type(network).__name__} has no folded form", "docs/add_a_network.md says how to write one")


def has_fold(network: nn.Module) -> bool:
    """Say whether the network's class, or one that it inherits, has a folded form."""
    return differentiable_fold.dispatch(type(network)) is not differentiable_fold.dispatch(object)


@singledispatch
def streaming_form(network: nn.Module) -> nn.Module | None:
    """Return the network as a module of one frame and ``caches``, rows and columns by name; None if it has no such form.

    ``forward`` takes a frame ``(1, 1, 17, C)`` and the caches, and gives ``network.lift`` of the window that this frame ends, and
    the caches for the next frame.
    """
    return None


def fold(network: nn.Module, free_batch: bool = False) -> nn.Module:
    """Return a module whose ``forward`` equals ``network.lift`` on ``(1, T, 17, C)`` input, or on any batch with ``free_batch``.

    For a batch of one the batch axis is dropped inside, so that every Linear has rank 2. A lifting network without a folded
    form is returned as it is.
    """
    if isinstance(network, LiftingNetwork) and not has_fold(network):
        return Lifting(network).eval()
    with torch.no_grad():
        return differentiable_fold(network, free_batch)
