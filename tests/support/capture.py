"""What modules inside a network put out during one forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from poseedge.arrays import AnyArray, Float32Array


def intermediates(network: nn.Module, modules: dict[str, str], *inputs: AnyArray) -> dict[str, Float32Array]:
    """Run ``network`` and return the output of each module in ``modules`` (label to path) under its label."""
    seen: dict[str, Float32Array] = {}

    def keep(label: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            seen.setdefault(label, output.numpy())

        return hook

    handles = [network.get_submodule(path).register_forward_hook(keep(label)) for label, path in modules.items()]
    with torch.no_grad():
        network(*(torch.from_numpy(array) for array in inputs))
    for handle in handles:
        handle.remove()
    return seen


def parameter_count(network: nn.Module, trainable: bool = False) -> int:
    """Count the parameters, a shared one once; with ``trainable`` those alone that training changes."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad or not trainable)
