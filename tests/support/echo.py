"""A lifter that answers with its own keypoints, and made-up sequences that tell their frame numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from poseedge.arrays import Float32Array
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.evaluation.predict import Prediction
from poseedge.lifter import LifterSpec
from tests.support.folders import MINI
from tests.support.stand_in import StandIn

MINI_TEST = load_dataset(MINI).of(["S9"])
CAMERA = MINI_TEST.sequences[0].camera
SEQ2FRAME = LifterSpec("echo", 9, (3, 4, 5), "fp32", None)
SEQ2SEQ = LifterSpec("echo", 9, tuple(range(9)), "fp32", None)
SINGLE = LifterSpec("echo", 1, (0,), "fp32", None)
CAUSAL = LifterSpec("echo", 9, (8,), "fp32", None)


@dataclass
class Echo(StandIn):
    """A lifter that puts each joint where its keypoint is; it notes the windows that it is given."""

    spec: LifterSpec
    path: Path = Path("echo")
    backend: str = "echo"
    provider: str = "none"
    seen: list[Float32Array] = field(default_factory=list)

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        self.seen.append(keypoints.copy())
        chosen = keypoints[:, list(self.spec.output_frames)]
        return np.concatenate([chosen, np.ones_like(chosen[..., :1])], axis=-1)


class Lopsided(Echo):
    """An echo whose poses differ from left to right, so that flipping matters."""

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        return np.add(super().__call__(keypoints), np.arange(17)[:, None] / 10, dtype=np.float32)


def dataset(*lengths: int) -> PoseDataset:
    """Return random sequences; the first keypoint of each frame tells its number."""
    rng = np.random.default_rng(0)
    sequences = []
    for number, length in enumerate(lengths):
        keypoints = rng.uniform(-1, 1, (length, 17, 2)).astype(np.float32)
        keypoints[:, 1, 0] = np.arange(length)
        joints = rng.normal(size=(length, 17, 3)).astype(np.float32)
        sequences.append(PoseSequence("S9", f"Act{number % 2} {number}", CAMERA, keypoints, joints))
    return PoseDataset("made-up", "gt", 50.0, (), ("S9",), tuple(sequences))


def numbers(prediction: Prediction) -> list[int]:
    """Return the frame numbers that an echoed prediction carries."""
    return [int(value) for value in prediction.poses_m[:, 1, 0]]
