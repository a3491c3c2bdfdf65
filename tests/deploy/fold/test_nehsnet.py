"""NEHSNet's folded form and graph."""

from __future__ import annotations

import pytest

from poseedge.models.registry import LiftingNetwork
from tests.deploy.fold import exported


@pytest.fixture(scope="module")
def network() -> LiftingNetwork:
    return exported.drawn("nehsnet")


@pytest.mark.parametrize(("batch", "free_batch"), [(1, False), (1, True), (3, True)])
def test_folded_equals_plain(network: LiftingNetwork, batch: int, free_batch: bool) -> None:
    exported.assert_folded_equals_plain(network, batch, free_batch)


@pytest.mark.parametrize(("batch", "free_batch"), [(1, False), (2, True)])
def test_folded_network_reads_the_centre_of_a_window(batch: int, free_batch: bool) -> None:
    network = exported.drawn("nehsnet", depth=2, d_model=24, n_heads=3, mlp_dim=40, frames=5)
    exported.assert_folded_equals_plain(network, batch, free_batch)


@pytest.mark.parametrize("opset", [13, 17])
def test_exported_graph_equals_pytorch(network: LiftingNetwork, opset: int) -> None:
    exported.assert_export_equals_pytorch(network, exported.exported(network, opset))


@pytest.mark.parametrize("opset", [13, 17])
def test_exported_graph_is_fit_for_deployment(network: LiftingNetwork, opset: int) -> None:
    exported.assert_fit_for_deployment(exported.exported(network, opset))


def test_graph_with_a_free_batch_equals_pytorch(network: LiftingNetwork) -> None:
    model = exported.exported(network, 17, free_batch=True)
    exported.assert_fit_for_deployment(model)
    exported.assert_export_equals_pytorch(network, model, batch=3)
