"""One motion gives the same poses in metres, whatever file and layout it came in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseedge.backends.registry import load
from poseedge.lifter import Lifter
from poseedge.live.layouts import LAYOUTS, to_h36m
from poseedge.live.lift import lift
from poseedge.live.types import Lifted
from tests.support import keypoint_files as files
from tests.support import motion
from tests.support.keypoint_files import People
from tests.support.people_files import AMBIGUOUS, SEVENTEEN, START, WITHOUT_NUMBERS, WRITERS, two_people

Posed = dict[int, dict[int, np.ndarray]]  # person (1 or 2 of ``two_people``) -> frame -> (17, 3) metres
ATOL_M = 1e-4


def posed(poses: Lifted, shift: int = 0) -> Posed:
    """Return what is seen of both people, told apart by where they stand."""
    places = np.nanmean(poses.keypoints_px[..., 0], axis=(1, 2))
    order = np.argsort(places)  # the second stands to the right
    assert len(order) == 2
    return {
        person: {int(poses.frames[t]) + shift: poses.poses_m[row, t] for t in np.flatnonzero(poses.seen[row])}
        for person, row in zip((1, 2), order, strict=True)
    }


def lifted(path: Path, lifter: Lifter, layout: str | None = None) -> Lifted:
    return lift(path, lifter, layout=layout, size=motion.SIZE, fps=25, trunk="fitted")


@pytest.fixture(scope="module")
def lifter(small_bundle: Path) -> Lifter:
    return load(small_bundle, "fp32")


@pytest.fixture(scope="module")
def expected(lifter: Lifter, tmp_path_factory: pytest.TempPathFactory) -> Posed:
    path = files.alphapose(tmp_path_factory.mktemp("expected"), two_people("coco17"))
    return posed(lifted(path, lifter))


def assert_same(found: Posed, expected: Posed) -> None:
    assert found.keys() == expected.keys()
    for person, frames in expected.items():
        assert found[person].keys() == frames.keys()
        for frame, pose in frames.items():
            np.testing.assert_allclose(found[person][frame], pose, rtol=0, atol=ATOL_M)


def test_both_people_are_seen_and_move(expected: Posed) -> None:
    assert all(len(frames) > motion.FRAMES / 2 for frames in expected.values())
    spread = [np.ptp(np.stack(list(frames.values())), axis=0).max() for frames in expected.values()]
    apart = np.abs(expected[1][START] - expected[2][START]).max()
    assert min(*spread, apart) > 100 * ATOL_M


@pytest.mark.parametrize("name", [*WRITERS, *SEVENTEEN])
def test_every_format_gives_the_same_poses(tmp_path: Path, lifter: Lifter, expected: Posed, name: str) -> None:
    path = (WRITERS | SEVENTEEN)[name](tmp_path, two_people("coco17"))
    layout = "coco17" if name in AMBIGUOUS else None
    found = lifted(path, lifter, layout)
    assert_same(posed(found, START if name in WITHOUT_NUMBERS else 0), expected)


@pytest.mark.parametrize("layout", [name for name, known in LAYOUTS.items() if known.coco])
def test_every_layout_gives_the_same_poses(tmp_path: Path, lifter: Lifter, expected: Posed, layout: str) -> None:
    path = files.openpose(tmp_path, two_people(layout))
    assert_same(posed(lifted(path, lifter)), expected)


def test_human36m_joints_made_of_the_same_keypoints_give_the_same_poses(tmp_path: Path, lifter: Lifter, expected: Posed) -> None:
    people: People = {}
    for frame, inside in two_people("coco17").items():
        made = [(id, *to_h36m(keypoints[None], scores[None], "coco17")) for id, keypoints, scores in inside]
        people[frame] = [(id, keypoints[0], scores[0]) for id, keypoints, scores in made]
    assert_same(posed(lifted(files.openpose(tmp_path, people), lifter)), expected)
