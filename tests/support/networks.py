"""Networks with weights that are the same every time, their windows and their exported graphs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
import torch

from poseedge.arrays import Float32Array
from poseedge.fold import fold
from poseedge.graph.trace import simplify, trace
from poseedge.models import create
from poseedge.models.network import LiftingNetwork
from poseedge.skeleton import NUM_JOINTS
from tests.golden import weights
from tests.support import golden


@cache
def lifting(name: str) -> LiftingNetwork:
    """Return the network of a golden case, or the one of that name as it is by default."""
    if name not in golden.CASES:
        return drawn(name)
    network = golden.network(name)
    assert isinstance(network, LiftingNetwork)
    return network


def drawn(name: str, **config: Any) -> LiftingNetwork:
    """Return a network without golden case, with weights drawn as the golden ones are."""
    network = create(name, **config)
    assert isinstance(network, LiftingNetwork)
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    network.load_state_dict({key: torch.from_numpy(weights.tensor(key, shape)) for key, shape in shapes.items()})
    return network


def windows(network: LiftingNetwork, batch: int) -> torch.Tensor:
    """Return ``(batch, frames, 17, C)`` random keypoints."""
    return torch.from_numpy(weights.pose_input((batch, network.frames, NUM_JOINTS, network.in_channels)))


def lifted(network: LiftingNetwork, keypoints: torch.Tensor) -> Float32Array:
    """Return what the plain network makes of windows."""
    with torch.inference_mode():
        return network.lift(keypoints).numpy()


@cache
def exported(name: str, opset: int, free_batch: bool = False) -> onnx.ModelProto:
    """Return the graph of the folded network as a bundle would hold it."""
    network = lifting(name)
    model, note = simplify(trace(fold(network, free_batch), network.frames, network.in_channels, opset, free_batch))
    assert not note
    return model


def assert_folded_equals_plain(network: LiftingNetwork, keypoints: torch.Tensor) -> None:
    """On one window, and with a free batch on one and on all at once; outputs have a deviation of about one."""
    wanted = lifted(network, keypoints)
    with torch.inference_mode():
        first = fold(network)(keypoints[:1]).numpy()
        free = fold(network, free_batch=True)
        alone, together = free(keypoints[:1]).numpy(), free(keypoints).numpy()
    for found in (first, alone, together):
        np.testing.assert_allclose(found, wanted[: len(found)], rtol=0, atol=1e-5)
