"""A network's forward brings nothing from the CPU: a copy to the GPU in each call cannot be captured as a CUDA graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from poseedge.fold import fold
from tests.support.networks import LIFTING, small, windows

MAKERS = (torch.tensor, torch.as_tensor, torch.from_numpy)


class FromTheCpu(TorchFunctionMode):
    """Notes tensors that are made from numbers: by name, or as an index that is written as a list."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in MAKERS:
            self.found.append(func.__name__)
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            parts = args[1] if isinstance(args[1], tuple) else (args[1],)
            self.found += [f"index {part}" for part in parts if isinstance(part, list | tuple | np.ndarray)]
        return func(*args, **(kwargs or {}))


@pytest.mark.slow
@pytest.mark.parametrize("folded", [False, True], ids=["plain", "folded"])
@pytest.mark.parametrize("name", LIFTING)
def test_forward_brings_nothing_from_the_cpu(name: str, folded: bool) -> None:
    network = small(name)
    module, keypoints = fold(network) if folded else network, windows(network, 1)
    with torch.inference_mode(), FromTheCpu() as watched:
        module(keypoints)
    assert watched.found == []


def test_an_index_written_as_numbers_is_noticed() -> None:
    x = torch.zeros(3, 3)
    with FromTheCpu() as watched:
        x[:, [0, 1]]
        x[..., torch.tensor([2])]
    assert watched.found == ["index [0, 1]", "tensor"]
