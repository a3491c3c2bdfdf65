"""From what detectors and data sets give to what lifters take: 17 joints of Human3.6M, some with a confidence."""

from __future__ import annotations

import numpy as np

from poseedge.arrays import FloatArray
from poseedge.errors import DataError

NUM_COCO = 17
_NOSE, _EYES, _FACE = 0, [1, 2], [1, 2, 3, 4]  # the face without the nose
_SHOULDERS, _HIPS = [5, 6], [11, 12]
_PELVIS, _SPINE, _THORAX, _NECK, _HEAD = 0, 7, 8, 9, 10

# Joints that both skeletons have: Human3.6M index, COCO index.
_SHARED = {1: 12, 2: 14, 3: 16, 4: 11, 5: 13, 6: 15, 11: 5, 12: 7, 13: 9, 14: 6, 15: 8, 16: 10}
_NEAREST = [_SHARED.get(joint, _NOSE) for joint in range(17)]  # what is not shared is overwritten, but for the neck's score


def coco_to_h36m(keypoints: FloatArray) -> FloatArray:
    """Convert COCO keypoints ``(..., 17, 2)`` in pixels, y down, to Human3.6M joints, float32 ``(..., 17, 2)``.

    The trunk and the head, which COCO lacks, are estimated as the demos of the lifting papers do, so that published
    weights see what they were shown there. A frame of zeros (nobody found) stays zero.
    """
    if keypoints.shape[-2:] != (NUM_COCO, 2):
        raise DataError(f"expected COCO keypoints (..., 17, 2), found {keypoints.shape}", "pass scores to coco_scores_to_h36m")
    coco = np.asarray(keypoints, np.float32)
    nose, shoulders, hips = coco[..., _NOSE, :], middle(coco, _SHOULDERS), middle(coco, _HIPS)
    eyes_over_nose = middle(coco, _EYES)[..., 1] - nose[..., 1]
    h36m = coco[..., _NEAREST, :]
    h36m[..., _PELVIS, :] = hips
    h36m[..., _HEAD, 0] = sum(coco[..., joint, 0] for joint in _FACE) / 4
    h36m[..., _HEAD, 1] = nose[..., 1] + 2 * eyes_over_nose  # the nose mirrored about the line of the eyes
    h36m[..., _NECK, :] = (3 * nose + shoulders) / 4
    h36m[..., _THORAX, :] = shoulders + (nose - shoulders) / 3
    h36m[..., _THORAX, 1] -= 2 / 3 * eyes_over_nose
    h36m[..., _SPINE, :] = (shoulders + hips) / 2
    # Away from the line from pelvis to thorax: a bent trunk bows.
    h36m[..., _SPINE, 0] += 2 * h36m[..., _SPINE, 0] - h36m[..., _PELVIS, 0] - h36m[..., _THORAX, 0]
    return h36m


def with_confidence(keypoints: FloatArray, channels: int) -> FloatArray:
    """Give keypoints ``(..., 17, 2)`` the ``channels`` that a lifter takes: with 3, a confidence of 1.0 for each.

    Data sets have none, and 1.0 is what a detector says of a keypoint that is certain.
    """
    missing = channels - keypoints.shape[-1]
    if missing == 0:
        return keypoints
    if channels != 3 or missing != 1:
        raise DataError(
            f"cannot make {channels} values per keypoint from {keypoints.shape[-1]}", "lifters take u, v, and confidence"
        )
    return np.concatenate([keypoints, np.ones_like(keypoints[..., :1])], axis=-1)


def coco_scores_to_h36m(scores: FloatArray) -> FloatArray:
    """Convert COCO confidences ``(..., 17)`` to those of the joints of ``coco_to_h36m``, float32 ``(..., 17)``."""
    if scores.shape[-1:] != (NUM_COCO,):
        raise DataError(f"expected COCO scores (..., 17), found {scores.shape}", "pass keypoints to coco_to_h36m")
    coco = np.asarray(scores, np.float32)
    h36m = coco[..., _NEAREST]
    h36m[..., _PELVIS] = sum(coco[..., joint] for joint in _HIPS) / 2
    h36m[..., _THORAX] = sum(coco[..., joint] for joint in _SHOULDERS) / 2
    h36m[..., _SPINE] = (h36m[..., _PELVIS] + h36m[..., _THORAX]) / 2
    h36m[..., _HEAD] = sum(coco[..., joint] for joint in _FACE) / 4
    return h36m


def middle(coco: FloatArray, pair: list[int]) -> FloatArray:
    """Return the middle of two joints; much faster than a mean where there are few frames."""
    return np.asarray((coco[..., pair[0], :] + coco[..., pair[1], :]) / 2)
