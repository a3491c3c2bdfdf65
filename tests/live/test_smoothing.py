"""The One-Euro filter against its scalar definition."""

from __future__ import annotations

import math

import numpy as np

from poseedge.live.smoothing import OneEuro


def scalar(values: list[float], times: list[float], min_cutoff: float, beta: float, speed_cutoff: float) -> list[float]:
    """The filter as the paper's algorithm 1 and 2 write it, one value at a time."""

    def alpha(cutoff: float, period: float) -> float:
        return 1 / (1 + 1 / (2 * math.pi * cutoff) / period)

    found, speed = [values[0]], 0.0
    for value, time, before in zip(values[1:], times[1:], times, strict=False):
        period = time - before
        a = alpha(speed_cutoff, period)
        speed = a * (value - found[-1]) / period + (1 - a) * speed
        a = alpha(min_cutoff + beta * abs(speed), period)
        found.append(a * value + (1 - a) * found[-1])
    return found


def test_every_coordinate_is_filtered_as_the_scalar_filter_does() -> None:
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(0.01, 0.05, 100))
    poses = np.cumsum(random.normal(0, 0.01, (100, 17, 3)), axis=0).astype(np.float32)
    smooth = OneEuro(1.5, 0.7, 0.9)
    found = np.stack([smooth(pose, float(time)) for pose, time in zip(poses, times, strict=True)])
    for joint, axis in ((0, 0), (5, 2), (16, 1)):
        expected = scalar(poses[:, joint, axis].tolist(), times.tolist(), 1.5, 0.7, 0.9)
        np.testing.assert_allclose(found[:, joint, axis], expected, rtol=0, atol=1e-6)


def test_what_stands_still_stays() -> None:
    smooth, pose = OneEuro(), np.full((17, 3), 0.3, np.float32)
    for number in range(50):
        np.testing.assert_array_equal(smooth(pose, number / 50), pose)
