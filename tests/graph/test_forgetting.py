"""While a network is traced, what its parts have made and not returned takes no memory, and the graph is the same."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poseedge.fold import fold
from poseedge.graph import trace as module
from poseedge.graph.forgetting import forgetting
from poseedge.graph.trace import trace
from tests.support.networks import small


class Remembering(nn.Module):
    """A part that shows what it made on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 8))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        wide, turned = x @ self.weight, self.weight.T  # turned shares the weight's memory
        self.seen += [wide, turned]
        return (wide + turned).reshape(-1)  # a view of the sum


def test_only_what_is_returned_keeps_its_memory() -> None:
    part, given = Remembering(), torch.ones(8, 8)
    with torch.no_grad(), forgetting(part):
        result = part(given)
    wide, turned = part.seen
    assert wide.untyped_storage().nbytes() == 0
    assert [value.untyped_storage().nbytes() for value in (turned, given, result)] == [256, 256, 256]
    assert result.tolist() == [9.0] * 64


def test_nothing_is_forgotten_afterwards() -> None:
    part = Remembering()
    with forgetting(part):
        pass
    part(torch.ones(8, 8))
    assert all(value.untyped_storage().nbytes() == 256 for value in part.seen)


@pytest.mark.slow
@pytest.mark.parametrize("free_batch", [False, True])
@pytest.mark.parametrize("name", ["mixste", "hot_mixste", "videopose3d"])
def test_the_graph_is_the_same_to_the_byte(name: str, free_batch: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def written() -> bytes:
        network = small(name)
        graph = trace(fold(network, free_batch), network.frames, network.in_channels, 17, free_batch)
        return graph.proto.SerializeToString(deterministic=True)

    forgetful = written()

    @contextlib.contextmanager
    def remembering(_: nn.Module) -> Any:
        yield

    monkeypatch.setattr(module, "forgetting", remembering)
    assert written() == forgetful
