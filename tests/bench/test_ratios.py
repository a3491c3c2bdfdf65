"""A ratio compares blocks of the same round, and says how far it can be believed."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.bench import ratios
from poseedge.bench.ratios import block_medians, disagree, interval, quotient_interval, ratio_of


def noisy(middle: float, rounds: int = 100, seed: int = 0) -> np.ndarray:
    return middle * np.random.default_rng(seed).lognormal(sigma=0.05, size=rounds)


def test_block_is_the_median_of_its_calls_alone() -> None:
    np.testing.assert_array_equal(block_medians(np.array([1.0, 2.0, 100.0, 5.0, 4.0, 6.0]), 3), [2.0, 5.0])


def test_what_slows_a_whole_round_down_leaves_the_ratio_alone() -> None:
    load = np.linspace(1, 5, 40)
    found = ratio_of(0.7 * load, load)
    assert (found.value, found.low, found.high) == pytest.approx((0.7, 0.7, 0.7))


def test_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    found = [ratio_of(noisy(0.7, seed=2 * n), noisy(1.0, seed=2 * n + 1)) for n in range(60)]
    held = sum((each.low or 1) <= 0.7 <= (each.high or 0) for each in found)
    assert 52 <= held <= 60


def test_more_rounds_make_the_interval_narrow() -> None:
    few, many = (ratio_of(noisy(0.7, n), noisy(1.0, n, 1)) for n in (10, 1000))
    assert many.high is not None
    assert many.low is not None
    assert few.high is not None
    assert few.low is not None
    assert many.high - many.low < (few.high - few.low) / 3


def test_too_few_rounds_have_no_interval() -> None:
    found = ratio_of(np.ones(7), np.ones(7))
    assert (found.value, found.low, found.high) == (1, None, None)


def test_halves_show_a_drift() -> None:
    assert ratio_of(np.repeat([0.7, 0.8], 20), np.ones(40)).halves == pytest.approx([0.7, 0.8])


def test_long_runs_are_resampled_in_parts_with_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).lognormal(0, 0.1, 400)
    whole = interval(values)
    monkeypatch.setattr(ratios, "RESAMPLED_AT_ONCE", 1000)
    assert interval(values) == pytest.approx(whole, rel=2e-3)
    assert len(ratios.resampled_medians(values, np.random.default_rng(0))) == ratios.RESAMPLES


def test_same_blocks_give_the_same_interval() -> None:
    assert ratio_of(noisy(0.7), noisy(1.0, seed=1)) == ratio_of(noisy(0.7), noisy(1.0, seed=1))


def test_quotient_of_two_runs_has_an_interval_that_holds_it() -> None:
    low, high = quotient_interval(noisy(1.1), noisy(1.0, seed=1))
    assert low is not None
    assert high is not None
    assert low < 1.1 < high < 1.15
    assert quotient_interval(np.ones(3), np.ones(50)) == (None, None)


@pytest.mark.parametrize(("one", "other", "apart"), [(0.70, 0.73, False), (0.70, 0.74, True), (0.74, 0.70, True)])
def test_ratios_more_than_five_percent_apart_disagree(one: float, other: float, apart: bool) -> None:
    assert disagree(one, other) is apart
