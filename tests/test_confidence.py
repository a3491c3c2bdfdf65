"""A lifter that takes a confidence is told 1.0 of every keypoint of a data set, in evaluation and in calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poseedge.arrays import AnyArray, Float32Array
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset
from poseedge.evaluation.predict import predict
from poseedge.int8.windows import calibration_windows
from poseedge.lifter import LifterSpec
from tests.support import folders
from tests.support.stand_in import StandIn


class Scored(StandIn):
    """A lifter of single frames that remembers what it was given."""

    spec = LifterSpec("scored", frames=1, output_frames=(0,), precision="fp32", batch=None, channels=3)
    path, backend, provider = Path("scored"), "double", "cpu"

    def __init__(self) -> None:
        self.given: list[AnyArray] = []

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        self.given.append(keypoints)
        return np.zeros((len(keypoints), 1, 17, 3), np.float32)


def dataset(folder: Path) -> PoseDataset:
    folders.excerpt().write(folder)
    return load_dataset(folder)


def test_evaluation_gives_a_confidence_of_one_mirrored_or_not(tmp_path: Path) -> None:
    lifter, data = Scored(), dataset(tmp_path)
    predict(lifter, data, flip=True)
    assert {keypoints.shape[2:] for keypoints in lifter.given} == {(17, 3)}
    assert all((keypoints[..., 2] == 1).all() for keypoints in lifter.given)
    np.testing.assert_array_equal(lifter.given[0][:, 0, :, :2], data.sequences[0].keypoints[: len(lifter.given[0])])


def test_calibration_windows_carry_a_confidence_of_one(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    scored, plain = calibration_windows([data], 9, 4, channels=3), calibration_windows([data], 9, 4)
    assert (scored[..., 2] == 1).all()
    np.testing.assert_array_equal(scored[..., :2], plain)
