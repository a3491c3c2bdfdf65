"""A person who stands upright, as lifted poses are: root-relative, metres, y up unless turned."""

from __future__ import annotations

import numpy as np

from poseedge.live.types import Lifted

# Seen from the front by the source's camera: the person's right is on the picture's left. y up, z towards the camera.
STANDING = np.array(
    [
        *[(0, 0, 0), (-0.13, 0, 0), (-0.13, -0.45, 0), (-0.13, -0.9, 0), (0.13, 0, 0), (0.13, -0.45, 0), (0.13, -0.9, 0)],
        *[(0, 0.25, 0), (0, 0.5, 0), (0, 0.6, 0.03), (0, 0.72, 0)],
        *[(0.17, 0.47, 0), (0.2, 0.2, 0), (0.22, -0.05, 0), (-0.17, 0.47, 0), (-0.2, 0.2, 0), (-0.22, -0.05, 0)],
    ],
    np.float32,
)
TO_CAMERA = np.array([1, -1, -1], np.float32)
PIXELS_PER_METRE = 200


def keypoints(at: tuple[float, float], scale: float = 1.0) -> np.ndarray:
    """Return where the standing person's joints (17, 2) are in a picture, the pelvis at ``at``."""
    return (STANDING[:, :2] * [1, -1] * PIXELS_PER_METRE * scale + at).astype(np.float32)


def lifted(frames: int = 3, people: int = 1) -> Lifted:
    """Return people who stand still, one every 300 pixels."""
    shape = (people, frames)
    where = np.stack([keypoints((400 + 300 * person, 300)) for person in range(people)])
    return Lifted(
        poses_m=np.broadcast_to(STANDING * TO_CAMERA, (*shape, 17, 3)).copy(),
        frames=np.arange(frames),
        times_s=np.arange(frames) / 30,
        ids=np.arange(1, people + 1),
        seen=np.ones(shape, bool),
        filled=np.zeros((*shape, 17), bool),
        keypoints_px=np.broadcast_to(where[:, None], (*shape, 17, 2)).copy(),
        scores=np.ones((*shape, 17), np.float32),
        meta={"axes": "camera"},
    )
