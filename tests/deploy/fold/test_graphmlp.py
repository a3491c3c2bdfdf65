"""GraphMLP's folded form and graph."""

from __future__ import annotations

import pytest

from poseedge.models.registry import LiftingNetwork
from tests.deploy.fold import exported


@pytest.fixture(scope="module")
def network() -> LiftingNetwork:
    return exported.lifting("graphmlp")


@pytest.mark.parametrize("name", ["graphmlp", "graphmlp-f243", "graphmlp-small"])
@pytest.mark.parametrize(("batch", "free_batch"), [(1, False), (1, True), (3, True)])
def test_folded_equals_plain(name: str, batch: int, free_batch: bool) -> None:
    exported.assert_folded_equals_plain(exported.lifting(name), batch, free_batch)


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
