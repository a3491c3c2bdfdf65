"""What every folded network and its exported graph must satisfy."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import torch

from poseedge.deploy.fold import fold
from poseedge.deploy.graph import run_graph
from poseedge.deploy.trace import simplify, trace
from poseedge.models import create
from poseedge.models.registry import LiftingNetwork
from poseedge.skeleton import NUM_JOINTS
from tests.deploy.preflight.own import assert_targets_take
from tests.golden import weights
from tests.models import golden

FOLD_TOLERANCE_M = 1e-5  # float rounding: outputs have a deviation of about one
EXPORT_TOLERANCE_M = 1e-4
HOSTILE = {"ScatterND", "ScatterElements", "DFT", "Einsum", "Tile", "Loop", "If", "Shape"}
LARGEST_RANK = 4


def lifting(name: str) -> LiftingNetwork:
    """Return the golden case's network with the golden weights."""
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


def assert_folded_equals_plain(network: LiftingNetwork, batch: int, free_batch: bool) -> None:
    keypoints = windows(network, batch)
    with torch.inference_mode():
        wanted, found = network.lift(keypoints), fold(network, free_batch)(keypoints)
    torch.testing.assert_close(found, wanted, rtol=0, atol=FOLD_TOLERANCE_M)


@lru_cache(maxsize=2)
def exported(network: LiftingNetwork, opset: int, free_batch: bool = False) -> onnx.ModelProto:
    """Return the graph of the folded network as a bundle would hold it."""
    traced = trace(fold(network, free_batch), network.frames, network.in_channels, opset, free_batch)
    model, note = simplify(traced)
    assert not note
    return model


def assert_export_equals_pytorch(network: LiftingNetwork, model: onnx.ModelProto, batch: int = 1) -> None:
    keypoints = windows(network, batch)
    with torch.inference_mode():
        wanted = network.lift(keypoints).numpy()
    np.testing.assert_allclose(run_graph(model, keypoints.numpy()), wanted, rtol=0, atol=EXPORT_TOLERANCE_M)


def assert_fit_for_deployment(model: onnx.ModelProto) -> None:
    """No hostile operator, no tensor of more than four axes, and nothing whose result is not used; the targets take it."""
    assert not HOSTILE & {node.op_type for node in model.graph.node}
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in inferred.value_info}
    ranks |= {tensor.name: len(tensor.dims) for tensor in inferred.initializer}
    assert not {name for name, rank in ranks.items() if rank > LARGEST_RANK}

    made = {name for node in model.graph.node for name in node.output if name} | {t.name for t in model.graph.initializer}
    read = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    assert made <= read
    assert_targets_take(model)
