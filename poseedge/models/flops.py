"""What a PyTorch network costs, counted while it runs once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from poseedge.lifter import Cost
from poseedge.models.network import LiftingNetwork
from poseedge.skeleton import NUM_JOINTS


def network_cost(network: LiftingNetwork, path: Path) -> Cost:
    """Return the cost of ``network`` on one window; ``path`` is its checkpoint."""
    flops, attention_flops = count(network, "cpu")
    params = sum(parameter.numel() for parameter in network.parameters())
    return Cost(flops, attention_flops, params, None, path.stat().st_size)


def meta_flops(network: LiftingNetwork) -> int:
    """Return the FLOPs of one window without computing anything; ``network`` loses its weights."""
    return count(network.to("meta"), "meta")[0]


def count(network: LiftingNetwork, device: str) -> tuple[int, int]:
    """Return the FLOPs of one window, and those of products of two activations among them."""
    window = torch.zeros(1, network.frames, NUM_JOINTS, network.in_channels, device=device)
    with torch.no_grad(), _Counter(window) as counter:
        network.lift(window)
    return counter.flops, counter.attention_flops


class _Counter(TorchDispatchMode):
    """Sums the formulas of ``torch.utils.flop_counter`` and follows which tensors depend on the input."""

    def __init__(self, source: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.attention_flops = 0
        self._activations = WeakTensorKeyDictionary()
        self._activations[source] = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        dependent = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf in self._activations]
        if dependent:
            for leaf in tree_leaves(output):
                if isinstance(leaf, Tensor):
                    self._activations[leaf] = True
        if func.overloadpacket in flop_registry:
            flops = int(flop_registry[func.overloadpacket](*args, **kwargs, out_val=output))
            self.flops += flops
            self.attention_flops += flops if len(dependent) > 1 else 0
        return output
