"""What a detector of people gives, and the interface that all detectors share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from poseedge.live.types import Floats

Picture = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Box = tuple[float, float, float, float]  # left, top, width, height in pixels

SURE = 0.3  # a keypoint below this score is a guess
SAME_PERSON = 0.5  # two detections that resemble each other more are one person
# Tolerances of COCO's object keypoint similarity, twice its sigmas: https://cocodataset.org/#keypoints-eval
_COCO_TOLERANCES = 2 * np.array(
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089]
)


@dataclass(frozen=True)
class Person:
    """One person in one picture."""

    keypoints: Floats  # (K, 2) pixels, y down
    scores: Floats  # (K,), 0 to 1
    box: Box

    @property
    def score(self) -> float:
        """Mean score of the keypoints."""
        return float(self.scores.mean())


class Detector(Protocol):
    """Finds people in the pictures of one source, one after the other; may use what it saw in the last picture."""

    name: str
    layout: str  # of the keypoints, a name of ``layouts.LAYOUTS``

    def detect(self, rgb: Picture) -> tuple[Person, ...]:
        """Return the people in ``rgb`` ``(H, W, 3)`` uint8."""


def box_around(keypoints: npt.NDArray[Any]) -> Box:
    """Return the box around keypoints ``(N, 2)``; empty if there are none."""
    if not len(keypoints):
        return (0.0, 0.0, 0.0, 0.0)
    (left, top), (right, bottom) = keypoints.min(axis=0), keypoints.max(axis=0)
    return float(left), float(top), float(right - left), float(bottom - top)


def person_of(keypoints: npt.NDArray[Any], scores: npt.NDArray[Any], box: Box | None = None) -> Person:
    """Return a ``Person`` with scores within 0 to 1; without a ``box``, the one around the sure keypoints, or around all."""
    keypoints = np.asarray(keypoints, np.float32)
    scores = np.clip(np.asarray(scores, np.float32), 0.0, 1.0)
    sure = keypoints[scores >= SURE]
    return Person(keypoints, scores, box or box_around(sure if len(sure) > 1 else keypoints))


def overlap(one: Box, boxes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return intersection over union of ``one`` with ``boxes (N, 4)``, all left, top, width, height."""
    left, top, width, height = (float(value) for value in one)
    across = np.minimum(left + width, boxes[:, 0] + boxes[:, 2]) - np.maximum(left, boxes[:, 0])
    down = np.minimum(top + height, boxes[:, 1] + boxes[:, 3]) - np.maximum(top, boxes[:, 1])
    shared = np.clip(across, 0, None) * np.clip(down, 0, None)
    union = width * height + boxes[:, 2] * boxes[:, 3] - shared
    return np.where(union > 0, shared / np.maximum(union, 1e-9), 0.0)


def similarity(one: Person, other: Person) -> float:
    """Return how much two detections resemble each other, 0 to 1: COCO's OKS over the joints that both are sure of.

    Layouts other than COCO-17 begin with its joints. Where no joint is sure in both, the overlap of the boxes decides.
    """
    tolerances = _COCO_TOLERANCES[: len(one.keypoints)]
    both = ((one.scores >= SURE) & (other.scores >= SURE))[: len(tolerances)]
    area = max(one.box[2] * one.box[3], other.box[2] * other.box[3])
    if not both.any() or area <= 0:
        return float(overlap(one.box, np.array([other.box]))[0])
    squared = ((one.keypoints - other.keypoints)[: len(tolerances)][both] ** 2).sum(axis=1)
    return float(np.exp(-squared / (2 * area * tolerances[both] ** 2)).mean())
