"""The mean over overlapping windows is what lifting gives, and steadier than windows alone."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset
from poseedge.evaluation.overlap import default_every, predict_overlapping, window_starts
from poseedge.evaluation.predict import predict
from poseedge.overlap import slot_weights
from poseedge.resources import resource
from tests.support.linear_lifter import LinearLifter


@pytest.fixture
def dataset() -> PoseDataset:
    whole = load_dataset(resource("calib_data", "mocap17-mini"))
    return PoseDataset(**{**whole.__dict__, "sequences": whole.sequences[16:18]})


@pytest.mark.parametrize("weights", [[1], [1, 1], [1, 2, 1], [1, 2, 3, 4, 5, 4, 3, 2, 1]])
def test_centre_of_a_window_weighs_most(weights: list[int]) -> None:
    assert slot_weights(len(weights)).tolist() == weights


def test_mean_is_that_of_all_windows_by_their_slots(dataset: PoseDataset) -> None:
    lifter, sequence = LinearLifter(), dataset.sequences[0]
    found = predict_overlapping(lifter, dataset)
    length = len(sequence)
    total, weights = np.zeros((length, 17, 3)), np.zeros((length, 1, 1))
    for centre in range(-4, length + 4):
        window = sequence.keypoints[np.clip(centre + np.arange(-121, 122), 0, length - 1)]
        for slot, pose in enumerate(lifter(window[None])[0]):
            if 0 <= (frame := centre + slot - 4) < length:
                total[frame] += (5 - abs(slot - 4)) * pose
                weights[frame] += 5 - abs(slot - 4)
    np.testing.assert_allclose(found.mean[0].poses_m[:, 1:], (total / weights)[:, 1:], rtol=0, atol=1e-5)
    assert (found.mean[0].poses_m[:, 0] == 0).all()
    for ours, theirs in zip(found.alone, predict(lifter, dataset), strict=True):
        np.testing.assert_array_equal(ours.poses_m, theirs.poses_m)


@pytest.mark.parametrize("every", [None, 1, 5])
def test_network_that_gives_its_whole_window_is_averaged_too(dataset: PoseDataset, every: int | None) -> None:
    lifter = LinearLifter(27, tuple(range(27)), context=0)
    found = predict_overlapping(lifter, dataset, every=every)
    assert found.every == (every or default_every(lifter.spec))
    for mean, alone in zip(found.mean, predict(lifter, dataset), strict=True):
        assert np.isfinite(mean.poses_m).all()
        assert mean.frames.tolist() == alone.frames.tolist()


@pytest.mark.parametrize("shown", [tuple(range(9, 18)), tuple(range(27)), (4,), (26,)])
@pytest.mark.parametrize("inside", [False, True])
def test_frame_is_the_weighted_mean_of_all_windows_that_show_it(
    dataset: PoseDataset, shown: tuple[int, ...], inside: bool
) -> None:
    lifter, sequence = LinearLifter(27, shown, context=0.3), dataset.sequences[0]
    found = predict_overlapping(lifter, dataset, inside=inside).mean[0].poses_m
    weights, length = slot_weights(len(shown)), len(sequence)
    step, inner = default_every(lifter.spec), inside and len(shown) == 27
    firsts = [*range(0, length - 27, step), length - 27] if inner else range(-26, length)
    for frame in (0, 3, 30, length - 1):
        votes, sum_of_weights = np.zeros((17, 3)), 0.0
        for first in firsts:
            if not inner and (first + 26) % step:
                continue
            poses = lifter(sequence.keypoints[np.clip(first + np.arange(27), 0, length - 1)][None])[0]
            for slot, row in enumerate(shown):
                if first + row == frame:
                    votes, sum_of_weights = votes + weights[slot] * poses[slot], sum_of_weights + weights[slot]
        wanted = votes / sum_of_weights
        wanted[0] = 0
        np.testing.assert_allclose(found[frame], wanted, atol=1e-5)


def test_windows_inside_a_sequence_cover_every_frame_a_ninth_apart() -> None:
    spec = LinearLifter(27, tuple(range(27)), context=0).spec
    firsts = window_starts(60, spec, default_every(spec), inside=True)
    assert set(np.diff(firsts)) == {3}
    assert {first + row for first in firsts.tolist() for row in range(27)} == set(range(60))
    assert window_starts(10, spec, 3, inside=True).tolist() == [0]  # and covers it


def test_average_of_windows_that_disagree_is_steadier(dataset: PoseDataset) -> None:
    class Shaky(LinearLifter):
        def __call__(self, keypoints: np.ndarray) -> np.ndarray:
            poses = super().__call__(keypoints)
            noise = [np.random.default_rng(int(abs(window.sum()) * 1e4)).normal(0, 0.01, poses.shape[1:]) for window in keypoints]
            return (poses + np.array(noise)).astype(np.float32)

    found = predict_overlapping(Shaky(), dataset).compared
    assert found.jitter_mm is not None
    assert found.alone_jitter_mm is not None
    assert found.jitter_mm < 0.5 * found.alone_jitter_mm
