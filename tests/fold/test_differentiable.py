"""Training may go through the fold: gradients reach the network's weights as through the plain network."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from poseedge.fold import differentiable_fold, fold
from tests.support.networks import lifting, windows

NETWORKS = ("nanohtnet-small", "graphmlp-small", "strided_transformer-27", "mixste-f27", "hot_motionbert-f27")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_the_plain_network(name: str) -> None:
    network = lifting(name)
    parameters = [weight for weight in network.parameters() if weight.requires_grad]
    wanted, found = (
        torch.autograd.grad(lift(windows(network, 2)).square().sum(), parameters, allow_unused=True, materialize_grads=True)
        for lift in (network.lift, differentiable_fold(network, free_batch=True))
    )
    largest = max(float(gradient.norm()) for gradient in wanted)
    assert largest > 0
    for one, other in zip(wanted, found, strict=True):
        assert float((one - other).norm()) <= 1e-4 * largest


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_folding_stays_on_the_networks_device(name: str) -> None:
    network, device = deepcopy(lifting(name)).to("meta"), torch.device("meta")  # stands for a GPU: it refuses what is elsewhere
    with device:
        folded = differentiable_fold(network, free_batch=True).to(device)
    assert folded(windows(network, 2).to(device)).device == device


def test_exported_weights_are_named_parameters_without_gradient() -> None:
    weight = dict(fold(lifting("nanohtnet-small")).named_parameters())["spatial.0.mlp.fc1.weight"]
    assert not weight.requires_grad
