"""Smooth a series over time, looking both ways: for what is known as a whole."""

from __future__ import annotations

import numpy as np

from poseedge.arrays import Float64Array


def smoothed(values: Float64Array, sigma_frames: float) -> Float64Array:
    """Return ``values (T, C)`` averaged over neighbouring frames with Gaussian weights; the ends are repeated outwards."""
    reach = int(3 * sigma_frames)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma_frames, 1e-9)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)
