"""Recorded windows are those of the papers, each once plain and once mirrored in an epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from poseedge.data.cameras import project
from poseedge.data.windows import centered, mirror_joints, mirror_keypoints, strided
from poseedge.errors import DataError
from poseedge.training.batch import ProcessShare, mirror_batch
from poseedge.training.recorded import Cut, Mirror, RecordedWindows
from tests.support.training import CLEAN

FRAMES, SHARE = 9, ProcessShare(seed=3)
TWO = replace(CLEAN, sequences=CLEAN.sequences[:2])


def windows(cut: Cut = "centered", stride: int | None = None, mirror: Mirror = "both", frames: int = FRAMES) -> RecordedWindows:
    return RecordedWindows(TWO, frames, tuple(range(frames)), cut, stride, mirror)


@pytest.mark.parametrize("stride", [None, 3])
def test_centered_windows_are_those_of_the_protocol(stride: int | None) -> None:
    cut = windows(stride=stride, mirror="none")
    index = [centered(len(s), FRAMES)[:: stride or 1] for s in TWO.sequences]
    found = cut.take(torch.arange(cut.windows))
    np.testing.assert_array_equal(
        found.keypoints, np.concatenate([s.keypoints[i] for s, i in zip(TWO.sequences, index, strict=True)])
    )
    wanted = np.concatenate([s.relative_m[i] for s, i in zip(TWO.sequences, index, strict=True)])
    np.testing.assert_allclose(found.joints_m, wanted, atol=1e-6)


def test_windows_of_a_causal_network_end_with_each_frame() -> None:
    cut = RecordedWindows(TWO, FRAMES, (FRAMES - 1,), "centered", None, "none")
    index = [centered(len(s), FRAMES, FRAMES - 1) for s in TWO.sequences]
    found = cut.take(torch.arange(cut.windows))
    wanted = np.concatenate([s.keypoints[i] for s, i in zip(TWO.sequences, index, strict=True)])
    np.testing.assert_array_equal(found.keypoints, wanted)
    targets = np.concatenate([s.relative_m for s in TWO.sequences])
    np.testing.assert_allclose(found.joints_m[:, 0], targets, atol=1e-6)


@pytest.mark.parametrize("stride", [None, 4])
def test_consecutive_windows_are_those_of_the_protocol(stride: int | None) -> None:
    cut = windows("consecutive", stride, mirror="none")
    wanted = [s.keypoints[strided(len(s), FRAMES, stride or FRAMES)] for s in TWO.sequences]
    np.testing.assert_array_equal(cut.take(torch.arange(cut.windows)).keypoints, np.concatenate(wanted))


def test_sequence_shorter_than_a_window_gives_one_that_is_padded_at_both_ends() -> None:
    length = len(TWO.sequences[0])
    cut = windows("consecutive", stride=1, mirror="none", frames=length + 4)
    index = np.clip(np.arange(-2, length + 2), 0, length - 1)
    np.testing.assert_array_equal(cut.take(torch.tensor([0])).keypoints[0], TWO.sequences[0].keypoints[index])


def test_epoch_holds_every_window_plain_and_mirrored_once_in_an_order_of_its_own() -> None:
    cut = windows()
    steps = -(-cut.windows // 64)
    epochs = [torch.cat([cut.rows(epoch * steps + step, 64, SHARE) for step in range(steps)]) for epoch in range(2)]
    assert cut.windows == 2 * sum(len(s) for s in TWO.sequences)
    assert all(torch.equal(epoch.sort().values, torch.arange(cut.windows)) for epoch in epochs)
    assert not torch.equal(*epochs)
    assert not torch.equal(epochs[0][:64], cut.rows(0, 64, ProcessShare(seed=4)))


def test_processes_share_out_a_batch() -> None:
    cut = windows()
    whole = cut.rows(5, 64, SHARE)
    shares = [cut.rows(5, 64, ProcessShare(SHARE.seed, rank, world=2)) for rank in range(2)]
    assert torch.equal(torch.stack(shares, dim=1).flatten(), whole)


def test_processes_share_alike_where_the_last_batch_does_not_divide() -> None:
    cut = windows("consecutive", mirror="none", frames=81)  # four windows
    shares = [cut.rows(0, 100, ProcessShare(1, rank, world=3)) for rank in range(3)]
    assert [len(share) for share in shares] == [2, 2, 2]
    assert set(torch.cat(shares).tolist()) == set(range(4))


def test_drawing_a_step_again_gives_the_same_windows() -> None:
    for mirror in ("both", "random"):
        cut = windows(mirror=mirror)
        for ours, again, other in zip(cut.draw(7, 32, SHARE), cut.draw(7, 32, SHARE), cut.draw(8, 32, SHARE), strict=True):
            assert torch.equal(ours, again)
            assert not torch.equal(ours, other)


def test_mirrored_windows_are_those_of_the_protocol() -> None:
    cut = windows()
    plain, found = cut.take(torch.arange(20)), cut.take(torch.arange(20) + cut.windows // 2)
    np.testing.assert_array_equal(found.keypoints, mirror_keypoints(plain.keypoints.numpy()))
    np.testing.assert_array_equal(found.joints_m, mirror_joints(plain.joints_m.numpy()))


def test_a_batch_is_mirrored_where_it_is_asked_to_be() -> None:
    cut = windows()
    plain, all_mirrored = cut.take(torch.arange(20)), cut.take(torch.arange(20) + cut.windows // 2)
    chosen = torch.arange(20) % 2 == 0
    for ours, theirs, before in zip(mirror_batch(plain, chosen), all_mirrored, plain, strict=True):
        assert torch.equal(ours[chosen], theirs[chosen])
        assert torch.equal(ours[~chosen], before[~chosen])


def test_mirrored_camera_sees_the_mirrored_body() -> None:
    cut = windows()
    found = cut.take(torch.arange(8) + cut.windows // 2)
    for keypoints, joints, root, intrinsics in zip(*found, strict=True):
        seen = project((joints + root[:, None]).numpy(), intrinsics.numpy())
        np.testing.assert_allclose(keypoints, seen, atol=1e-4)  # stored keypoints are rounded


def test_half_of_the_windows_are_mirrored_by_chance() -> None:
    cut = windows(mirror="random")
    drawn = cut.draw(0, 256, SHARE)
    assert cut.windows == sum(len(s) for s in TWO.sequences)
    plain = cut.take(cut.rows(0, 256, SHARE))
    share = (drawn.keypoints != plain.keypoints).flatten(1).any(dim=1).float().mean()
    assert 0.4 < share < 0.6


def test_data_set_without_motion_is_refused() -> None:
    with pytest.raises(DataError, match="no sequences to train on"):
        RecordedWindows(replace(CLEAN, sequences=()), FRAMES, (0,), "centered", None, "both")
