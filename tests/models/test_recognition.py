"""A bare state dict's keys and shapes tell which network it belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from poseedge.models import create, names
from poseedge.models.network import Shapes
from poseedge.models.registry import network_class
from tests.support import golden


@pytest.mark.slow
@pytest.mark.parametrize("name", golden.CASES)
def test_a_published_state_dict_is_recognised_by_its_network_and_by_none_that_cannot_hold_it(name: str) -> None:
    shapes = golden.shapes(name)
    claims = {model: network_class(model).infer_config(shapes) for model in names()}
    takers = {model: config for model, config in claims.items() if config is not None}
    assert golden.case(name)["model"] in takers
    for model, config in takers.items():
        assert shapes_of(model, config) == shapes


def shapes_of(model: str, config: dict[str, Any]) -> Shapes:
    return {key: tuple(value.shape) for key, value in create(model, **config).state_dict().items()}
