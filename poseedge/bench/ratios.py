"""Ratios of latencies that took turns, and how far they can be believed."""

from __future__ import annotations

import numpy as np

from poseedge.arrays import Float64Array
from poseedge.bench.results import Ratio

RESAMPLES = 2000
RESAMPLED_AT_ONCE = 500_000  # values
LEAST_ROUNDS = 8  # for an interval
INTERVAL = (2.5, 97.5)  # percent
DISAGREE = 0.05  # halves of a run, or runs, further apart than this are said to disagree


def block_medians(latency_s: Float64Array, calls: int) -> Float64Array:
    """Return the median of each block of ``calls`` latencies: one number for each round.

    >>> block_medians(np.array([1.0, 2.0, 9.0, 4.0, 4.0, 4.0]), calls=3)
    array([2., 4.])
    """
    return np.asarray(np.median(latency_s.reshape(-1, calls), axis=1))


def ratio_of(blocks: Float64Array, baseline: Float64Array, seed: int = 0) -> Ratio:
    """Return how long ``blocks (R,)`` take against those of the baseline in the same rounds.

    Block is divided by block of the same round, so what slows the whole machine down for a while cancels out; the median over
    rounds leaves single disturbances aside. The interval is a percentile bootstrap over rounds (Efron 1979).

    >>> ratio_of(np.full(10, 3.0), np.full(10, 4.0)).value
    0.75
    """
    each = blocks / baseline
    low, high = interval(each, seed)
    half = max(len(each) // 2, 1)
    halves = [float(np.median(part)) for part in (each[:half], each[-half:])]
    return Ratio(value=float(np.median(each)), low=low, high=high, halves=halves)


def interval(values: Float64Array, seed: int = 0) -> tuple[float | None, float | None]:
    """Return the 95 % confidence interval of the median of ``values (R,)``; None for fewer than 8."""
    if len(values) < LEAST_ROUNDS:
        return None, None
    low, high = np.percentile(resampled_medians(values, np.random.default_rng(seed)), INTERVAL)
    return float(low), float(high)


def quotient_interval(blocks: Float64Array, others: Float64Array, seed: int = 0) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the quotient of two medians that were not measured in the same rounds."""
    if min(len(blocks), len(others)) < LEAST_ROUNDS:
        return None, None
    random = np.random.default_rng(seed)
    above, below = (resampled_medians(values, random) for values in (blocks, others))
    low, high = np.percentile(above / below, INTERVAL)
    return float(low), float(high)


def resampled_medians(values: Float64Array, random: np.random.Generator) -> Float64Array:
    """Return the medians of ``RESAMPLES`` samples of ``values (R,)`` with replacement, some megabytes of them at a time."""
    at_once = max(RESAMPLED_AT_ONCE // len(values), 1)
    parts = [min(at_once, RESAMPLES - begun) for begun in range(0, RESAMPLES, at_once)]
    return np.concatenate([np.median(values[random.integers(len(values), size=(n, len(values)))], axis=1) for n in parts])


def disagree(one: float, other: float) -> bool:
    """Say whether two ratios of the same things are more than 5 % apart."""
    return abs(one / other - 1) > DISAGREE
