"""Any number of windows through a network that takes a fixed or a limited number at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from poseedge.arrays import Float32Array
from poseedge.lifter import LifterSpec
from poseedge.skeleton import NUM_JOINTS


def lift_in_batches(
    run: Callable[[Float32Array], Float32Array], keypoints: Float32Array, spec: LifterSpec, most: int
) -> Float32Array:
    """Call ``run`` with at most ``most`` windows at a time; where the batch is fixed, the last call is filled up."""
    if not len(keypoints):
        return np.empty((0, len(spec.output_frames), NUM_JOINTS, 3), np.float32)
    parts = []
    for start in range(0, len(keypoints), most):
        part = keypoints[start : start + most]
        missing = (spec.batch or len(part)) - len(part)
        if missing:
            part = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
        poses = run(part)
        parts.append(poses[: len(poses) - missing] if missing else poses)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
