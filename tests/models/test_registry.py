"""A network is built with the settings that it has, of the kind that they are."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from poseedge.errors import PoseedgeError
from poseedge.models.registry import KINDS, create, names, network_class


def test_every_setting_of_every_network_is_of_a_kind_that_is_checked() -> None:
    for name in names():
        for parameter in inspect.signature(network_class(name)).parameters.values():
            _, fits = KINDS[parameter.annotation]
            assert fits(parameter.default)


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("htnet", "layers", "x", "htnet: network.layers is a whole number, not 'x'"),
        ("htnet", "layers", 1.5, "htnet: network.layers is a whole number, not 1.5"),
        ("htnet", "layers", True, "htnet: network.layers is a whole number, not True"),
        (
            "videopose3d",
            "causal",
            "False",
            "videopose3d: network.causal is true or false, not 'False'",
        ),  # else it would be causal
        ("videopose3d", "causal", 0, "videopose3d: network.causal is true or false, not 0"),
        ("videopose3d", "filter_widths", "3,3", "videopose3d: network.filter_widths is a list of whole numbers, not '3,3'"),
        ("videopose3d", "filter_widths", [3, "3"], "is a list of whole numbers, not"),
        ("nehsnet", "dropout", "none", "nehsnet: network.dropout is a number, not 'none'"),
    ],
)
def test_value_of_another_kind_is_refused_with_what_is_expected_and_the_default(
    name: str, key: str, value: Any, said: str
) -> None:
    with pytest.raises(PoseedgeError) as caught:
        create(name, **{key: value})
    assert said in caught.value.message
    assert f"network.{key}=" in caught.value.hint


def test_values_of_the_right_kind_are_taken() -> None:
    assert create("htnet", channel=np.int64(48), layers=1, d_hid=32).config["channel"] == 48
    assert create("nehsnet", dropout=0, depth=1, d_model=48, mlp_dim=32).config["dropout"] == 0
