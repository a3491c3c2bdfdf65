"""Resampling by time stamps: straight lines between sightings, held where a gap is too long for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseedge.live.clock import FrameGrid
from tests.support.linear_lifter import Array


def by_definition(times: Array, values: Array, at: Array) -> Array:
    """One coordinate at times ``at``: NaN in ``values`` is missing, and the last time is the present."""
    known = ~np.isnan(values)
    times, values = times[known], values[known]
    found = []
    for time in at:
        before = np.flatnonzero(times <= time + 1e-9)[-1]
        gap = times[before + 1] - times[before] if before + 1 < len(times) else np.inf
        share = (time - times[before]) / gap if gap <= 0.5 + 1e-9 else 0
        found.append((1 - share) * values[before] + (share * values[before + 1] if share else 0))
    return np.array(found)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([12.5, 25, 30, 50, 60, 120]), st.floats(0, 0.9))
def test_rows_are_what_straight_lines_and_holding_give(seed: int, fps: float, missing: float) -> None:
    random = np.random.default_rng(seed)
    times = 7 + np.cumsum(random.uniform(0.7, 1.3, 150)) / fps
    values = np.cumsum(random.normal(size=(150, 17, 2)), axis=0).astype(np.float32)
    values[1:][random.uniform(size=(149, 17)) < missing] = np.nan
    scores = np.ones((150, 17), np.float32)
    grid = FrameGrid(50.0, 60, float(times[0]), values[0], scores[0])
    last = 0
    for number in range(1, 150):
        if grid.is_expired(float(times[number])):
            break
        grid.see(float(times[number]), values[number], scores[number])
        last = number
    first = max(grid.newest - 59, 0)
    at = grid.origin_s + np.arange(first, grid.newest + 1) / 50
    rows, _ = grid.rows(first, grid.newest)
    for joint in range(17):
        expected = by_definition(times[: last + 1], values[: last + 1, joint, 0], at)
        np.testing.assert_allclose(rows[:, joint, 0], expected, rtol=0, atol=2e-3)


def test_source_at_the_network_s_rate_is_passed_on_as_it_is() -> None:
    values = np.random.default_rng(0).normal(size=(500, 17, 2)).astype(np.float32) * 1000
    grid = FrameGrid(50.0, 243, 12.34, values[0], np.ones(17, np.float32))
    for number in range(1, 500):
        grid.see(12.34 + number / 50, values[number], np.ones(17, np.float32))
    assert grid.newest == 499
    np.testing.assert_array_equal(grid.rows(257, 499)[0], values[257:])


def test_before_the_first_sighting_stand_copies_of_it() -> None:
    px = np.arange(34, dtype=np.float32).reshape(17, 2)
    rows, scores = FrameGrid(50.0, 27, 0.0, px, np.full(17, 0.5, np.float32)).rows(-26, 0)
    np.testing.assert_array_equal(rows, np.repeat(px[None], 27, axis=0))
    assert (scores == 0.5).all()


@pytest.mark.parametrize(("gap", "straight"), [(0.5, True), (0.52, False)])
def test_gap_of_half_a_second_is_bridged_and_a_longer_one_held(gap: float, straight: bool) -> None:
    start, end, scores = np.zeros((17, 2), np.float32), np.ones((17, 2), np.float32), np.ones(17, np.float32)
    grid = FrameGrid(50.0, 60, 0.0, start, scores)
    for number in range(1, round(gap * 50)):
        grid.hold(number / 50)
        assert (grid.rows(0, grid.newest)[0] == 0).all()  # nobody knows yet
    grid.see(gap, end, scores)
    rows, certain = grid.rows(1, grid.newest)
    expected = np.arange(1, len(rows) + 1) / len(rows) if straight else [0] * (len(rows) - 1) + [1]
    np.testing.assert_allclose(rows[:, 3, 1], expected, rtol=0, atol=1e-6)
    assert (certain[:-1] == 0).all()
    assert (certain[-1] == 1).all()
