"""Windows read the frames that the published loaders read, and a mirror undoes itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poseedge.data import windows
from tests.support import golden

CASES = golden.case("windows")["cases"]
STORED = golden.arrays("camera")


def name(case: dict[str, Any]) -> str:
    return f"T{case['T']}-F{case['F']}-stride{case['strided']['stride']}"


def expanded(rows: list[list[int]], frames: int) -> list[list[int]]:
    """Undo the short form ``[first, last, extra copies of first, extra copies of last]`` of long windows."""
    if rows and len(rows[0]) == frames:
        return rows
    return [[first] * before + list(range(first, last + 1)) + [last] * after for first, last, before, after in rows]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_centered_windows_equal_the_published_ones(case: dict[str, Any]) -> None:
    found = windows.centered(case["T"], case["F"])
    assert found.shape == (case["seq2frame_windows"], case["F"])
    assert found[:, case["pad"]].tolist() == list(range(case["T"]))
    if "first" in case:
        assert found[[0, len(found) // 2, -1]].tolist() == [case["first"], case["middle"], case["last"]]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_strided_windows_equal_the_published_ones(case: dict[str, Any]) -> None:
    found = windows.strided(case["T"], case["F"], case["strided"]["stride"])
    assert found.tolist() == expanded(case["strided"]["windows"], case["F"])


@pytest.mark.parametrize("case", [c for c in CASES if c["tail_aligned"]], ids=name)
def test_tail_aligned_windows_equal_the_published_ones(case: dict[str, Any]) -> None:
    assert windows.tail_aligned(case["T"], case["F"]).tolist() == expanded(case["tail_aligned"], case["F"])


def test_one_frame_fills_a_tail_aligned_window() -> None:
    assert windows.tail_aligned(1, 4).tolist() == [[0, 0, 0, 0]]


def test_a_sequence_shorter_than_the_overlap_has_no_strided_window() -> None:
    assert windows.strided(6, 9, stride=3).shape == (0, 9)


@pytest.mark.parametrize("length", [1, 2, 8, 9, 10, 26, 27, 28, 100])
@pytest.mark.parametrize("frames", [1, 3, 9, 27])
def test_every_frame_is_in_some_window(length: int, frames: int) -> None:
    everything = set(range(length))
    assert set(windows.centered(length, frames).ravel().tolist()) == everything
    assert set(windows.strided(length, frames, frames).ravel().tolist()) == everything
    assert set(windows.tail_aligned(length, frames).ravel().tolist()) == everything


def test_mirrored_poses_equal_the_published_augmentation() -> None:
    np.testing.assert_array_equal(windows.mirror_keypoints(STORED["pose2d"]), STORED["flip_2d"])
    np.testing.assert_array_equal(windows.mirror_joints(STORED["pose3d"]), STORED["flip_3d"])


def test_mirroring_twice_changes_nothing() -> None:
    scored = np.random.default_rng(0).normal(size=(2, 5, 17, 3))
    for mirror in (windows.mirror_keypoints, windows.mirror_joints):
        np.testing.assert_array_equal(mirror(mirror(scored)), scored)


def test_mirroring_leaves_its_input_and_the_scores_alone() -> None:
    scored = np.random.default_rng(0).normal(size=(5, 17, 3))
    before = scored.copy()
    mirrored = windows.mirror_keypoints(scored)
    np.testing.assert_array_equal(scored, before)
    np.testing.assert_array_equal(mirrored[:, 0], scored[:, 0] * [-1, 1, 1])
    np.testing.assert_array_equal(mirrored[:, 4], scored[:, 1] * [-1, 1, 1])
