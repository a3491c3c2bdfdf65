"""Steps and zero points of INT8: nothing is clipped, zero is kept, and a weight is half a step off at most."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseedge.errors import PoseedgeError
from poseedge.int8.centring import weight_axis
from poseedge.int8.quantize import quantize_weight
from poseedge.int8.ranges import QMAX, center
from poseedge.int8.windows import ChannelStatistics
from tests.support.int8_stacks import (
    RNG,
    node,
)

channel_ranges = st.lists(st.tuples(st.floats(-500, 500), st.floats(0, 100)), min_size=1, max_size=6)


def statistics_of(ranges: list[tuple[float, float]]) -> ChannelStatistics:
    low = np.array([start for start, _ in ranges])
    high = low + np.array([length for _, length in ranges])
    high[0] = low[0] + 1  # something moves
    return ChannelStatistics(low, high, (low + high) / 2)


@given(channel_ranges)
def test_no_calibration_value_is_clipped(ranges: list[tuple[float, float]]) -> None:
    statistics = statistics_of(ranges)
    for migrate in (0.0, 0.7):
        found = center(statistics, "t", "norm", migrate)
        for edge in (statistics.low, statistics.high):
            assert np.abs(np.rint((edge - found.offset) / found.divisor / found.step)).max() <= QMAX


@given(channel_ranges)
def test_zero_is_a_value_of_the_grid_of_every_channel(ranges: list[tuple[float, float]]) -> None:
    found = center(statistics_of(ranges), "t", "norm", migrate=0.7)
    steps = found.offset / found.divisor / found.step
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)


def test_the_widest_channel_uses_the_whole_range() -> None:
    found = center(ChannelStatistics(np.array([-0.17, -1.0]), np.array([6.0, 1.0]), np.zeros(2)), "t", "norm")
    assert np.rint((6.0 - found.offset[0]) / found.step) >= QMAX - 1
    assert np.rint((-0.17 - found.offset[0]) / found.step) <= 1 - QMAX


def test_tensor_that_never_changes_is_an_error() -> None:
    with pytest.raises(PoseedgeError, match="attention never changes"):
        center(ChannelStatistics(np.ones(4), np.ones(4), np.ones(4)), "attention", "norm")


@pytest.mark.parametrize("axis", [0, 1])
def test_weight_is_rounded_to_half_a_step_of_its_output_channel(axis: int) -> None:
    weight = RNG.normal(size=(20, 30)).astype(np.float32) * np.geomspace(1e-3, 1e3, 30, dtype=np.float32)
    weight = weight if axis == 1 else np.ascontiguousarray(weight.T)
    values, scales = quantize_weight(weight, axis)
    broad = scales[:, None] if axis == 0 else scales
    assert (np.abs(values * broad - weight) <= 0.5001 * broad).all()
    assert set(np.abs(values).max(axis=1 - axis)) == {127}


def test_channel_of_zeros_stays_zero() -> None:
    values, scales = quantize_weight(np.zeros((4, 3), np.float32), axis=1)
    assert not values.any()
    assert (scales == 1).all()


def test_weight_axis_counts_output_channels() -> None:
    assert weight_axis(node("MatMul", ["x", "w"], ["y"])) == 1
    assert weight_axis(node("Gemm", ["x", "w"], ["y"], transB=0)) == 1
    assert weight_axis(node("Gemm", ["x", "w"], ["y"], transB=1)) == 0
