"""Strides are compared on what lifting would average."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.strides import FOLLOWING, WEIGHTS, averaged, markdown, ways
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from tests.support import recorded
from tests.support.linear_lifter import LinearLifter, clip_of

FRAMES = 27


def said(lifter: LinearLifter, known: int) -> np.ndarray:
    """Return the poses of all windows that touch the first frames of a sequence."""
    windows = np.clip(np.arange(1 - FRAMES, known)[:, None] + np.arange(FRAMES), 0, known - 1)
    poses = lifter(recorded.sequences()[16].keypoints[:known][windows]).astype(np.float64)
    poses[:, :, 0] = 0
    return np.asarray(poses)


@pytest.mark.parametrize("step", [1, 3, 9])
def test_mean_of_a_stride_is_what_lift_gives(step: int) -> None:
    lifter = LinearLifter(FRAMES, tuple(range(FRAMES)))
    lifted = lift_clip(lifter, clip_of(recorded.pixels(16)[:100]), LiftOptions(view="plain", every=step))
    found = averaged(said(lifter, 100), 100, step, WEIGHTS["triangle"](FRAMES))
    np.testing.assert_allclose(found, lifted.poses_m[0], rtol=0, atol=2e-5)


def test_every_way_gives_every_frame_a_pose_and_a_row() -> None:
    found = ways(said(LinearLifter(FRAMES, tuple(range(FRAMES))), 100), 100)
    assert all(np.isfinite(poses).all() and poses.shape == (100, 17, 3) for poses in found.values())
    scores = {way: {"detected": {"mpjpe": 1.0, "ends": 2.0, "jitter": 3.0}} for way in found}
    table = markdown(
        {"data": "d", "every": 1, "frames_of_a_clip": 9, "rows": [{"model": "m", "frames": 27, "flip": False, "ways": scores}]}
    )
    assert all(f"| {way} | 1.0 / 2.0 / 3.0 |" in table for way in [FOLLOWING, *found])
