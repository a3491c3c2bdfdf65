"""Resampling by time stamps: straight lines between sightings, held where a gap is too long for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseedge.live.clock import FrameGrid
from poseedge.live.unseen.limbs import ANCHORS, LIMBS, TRUNK
from poseedge.live.view import facts_of
from tests.support.linear_lifter import Array


def by_definition(times: Array, values: Array, at: Array, interval: float) -> Array:
    """One coordinate at times ``at``: NaN in ``values`` is missing, and the last time is the present."""
    known = np.flatnonzero(~np.isnan(values))
    found = []
    for time in at:
        before = known[np.flatnonzero(times[known] <= time + 1e-9)[-1]]
        after = known[known > before][:1]
        if not len(after):
            found.append(values[before])
            continue
        last, following = times[before], times[after[0]]
        missing = following - last - interval  # from the first frame without it
        begin = last if missing <= 0.5 + 1e-6 else max(following - 0.5, times[0])
        share = max((time - begin) / (following - begin), 0)
        found.append((1 - share) * values[before] + share * values[after[0]])
    return np.array(found)


def rows_of(times: Array, values: Array, fps: float) -> tuple[Array, Array, int]:
    """Return the last rows of the joints, their times, and the number of the last frame: the track may end before."""
    scores = np.ones(17, np.float32)
    grid = FrameGrid(50.0, 60, float(times[0]), values[0], scores, 1 / fps)
    last = 0
    for number in range(1, len(times)):
        if grid.lost_s(float(times[number])) is not None:
            break
        grid.see(float(times[number]), values[number], scores)
        last = number
    first = max(grid.newest - 59, 0)
    rows, _ = grid.rows(first, grid.newest)
    return rows, grid.origin_s + np.arange(first, grid.newest + 1) / 50, last


def moving(seed: int, fps: float) -> tuple[Array, Array, np.random.Generator]:
    random = np.random.default_rng(seed)
    times = 7 + np.cumsum(random.uniform(0.7, 1.3, 150)) / fps
    return times, np.cumsum(random.normal(size=(150, 17, 2)), axis=0).astype(np.float32), random


RATES = st.sampled_from([12.5, 25, 30, 50, 60, 120])


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), RATES, st.floats(0, 0.9))
def test_rows_of_the_trunk_are_what_straight_lines_and_holding_give(seed: int, fps: float, missing: float) -> None:
    times, values, random = moving(seed, fps)
    gone = random.uniform(size=(149, len(TRUNK))) < missing
    values[1:, TRUNK] = np.where(gone[..., None], np.float32(np.nan), values[1:, TRUNK])
    rows, at, last = rows_of(times, values, fps)
    for joint in range(17):
        expected = by_definition(times[: last + 1], values[: last + 1, joint, 0], at, 1 / fps)
        np.testing.assert_allclose(rows[:, joint, 0], expected, rtol=0, atol=2e-3)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), RATES, st.floats(0, 0.97))
def test_lines_and_places_of_limbs_are_told_from_shoulder_and_hip(seed: int, fps: float, missing: float) -> None:
    times, values, random = moving(seed, fps)
    gone = random.uniform(size=(149, len(LIMBS))) < missing
    gone[:, :2] = False  # a leg is always seen
    values[1:, LIMBS] = np.where(gone[..., None], np.float32(np.nan), values[1:, LIMBS])
    rows, at, last = rows_of(times, values, fps)
    assert last == 149  # limbs may be missing for ever
    for limb, anchor in zip(LIMBS, ANCHORS, strict=True):
        beside = by_definition(times, values[:, limb, 0] - values[:, anchor, 0], at, 1 / fps)
        np.testing.assert_allclose(rows[:, limb, 0] - rows[:, anchor, 0], beside, rtol=0, atol=2e-3)


@pytest.mark.parametrize("fps", [25, 50])
@pytest.mark.parametrize("joints", [LIMBS[:2], LIMBS[4:], TRUNK, np.arange(17)], ids=["leg", "arms", "trunk", "all"])
def test_windows_see_the_line_that_bridges_a_gap(joints: Array, fps: int) -> None:
    times, values, _ = moving(0, fps)
    values[20:28, joints] = np.nan
    grid = FrameGrid(50.0, 60, float(times[0]), values[0], np.ones(17, np.float32), 1 / fps)
    for number in range(1, 40):
        grid.see(float(times[number]), values[number], np.ones(17, np.float32))
        rows, _ = grid.rows(0, grid.newest)
        seen = grid.sights(0, grid.newest)
        np.testing.assert_array_equal(seen.points[:2].reshape(2, -1, 17), np.moveaxis(rows, 2, 0))
        np.testing.assert_array_equal(seen.facts.T, np.array([facts_of(row) for row in rows], np.float32))


def test_source_at_the_network_s_rate_is_passed_on_as_it_is() -> None:
    values = np.random.default_rng(0).normal(size=(500, 17, 2)).astype(np.float32) * 1000
    grid = FrameGrid(50.0, 243, 12.34, values[0], np.ones(17, np.float32))
    for number in range(1, 500):
        grid.see(12.34 + number / 50, values[number], np.ones(17, np.float32))
    assert grid.newest == 499
    np.testing.assert_array_equal(grid.rows(257, 499)[0], values[257:])


def test_before_the_first_sighting_stand_copies_of_it() -> None:
    px = np.arange(34, dtype=np.float32).reshape(17, 2)
    rows, scores = FrameGrid(50.0, 27, 0.0, px, np.full(17, 0.5, np.float32)).rows(-26, 0)
    np.testing.assert_array_equal(rows, np.repeat(px[None], 27, axis=0))
    assert (scores == 0.5).all()


ONE = np.ones(17, np.float32)


def after_gap(frames: int, fps: float = 50.0, interval_s: float | None = None, joints: slice = slice(None)) -> FrameGrid:
    """Return joints that were seen at 0, were missing for ``frames`` frames, and are seen again at 1; the others stay at 0."""
    end = np.zeros((17, 2), np.float32)
    end[joints] = 1
    grid = FrameGrid(50.0, 100, 0.0, np.zeros((17, 2), np.float32), ONE, interval_s)
    for number in range(1, frames + 1):
        assert grid.lost_s(number / fps) is None
        grid.see(number / fps, np.where(end > 0, np.float32(np.nan), end), ONE) if joints != slice(None) else grid.hold(
            number / fps
        )
        assert (grid.rows(0, grid.newest)[0] == 0).all()  # nobody knows yet
    assert grid.lost_s((frames + 1) / fps) is None
    grid.see((frames + 1) / fps, end, ONE)
    return grid


@pytest.mark.parametrize("joints", [slice(None), slice(16, 17)])
@pytest.mark.parametrize(("fps", "interval_s"), [(50.0, None), (50.0, 0.02), (25.0, None), (10.0, 0.1)])
def test_half_a_second_without_a_joint_is_bridged_whole(fps: float, interval_s: float | None, joints: slice) -> None:
    frames = round(0.5 * fps)
    grid = after_gap(frames, fps, interval_s, joints)
    rows, certain = grid.rows(1, grid.newest)
    expected = np.arange(1, len(rows) + 1) / 50 / ((frames + 1) / fps)
    np.testing.assert_allclose(rows[:, 16, 1], expected, rtol=0, atol=1e-6)
    assert (certain[:-1, 16] == 0).all()
    assert (certain[-1] == 1).all()


@pytest.mark.parametrize("joints", [slice(None), slice(16, 17)])
@pytest.mark.parametrize("frames", [26, 40, 50])
def test_longer_gap_is_held_and_bridged_over_its_last_half_second(frames: int, joints: slice) -> None:
    grid = after_gap(frames, 50, 0.02, joints)
    rows, certain = grid.rows(1, grid.newest)
    expected = np.clip((np.arange(1, frames + 2) - (frames + 1 - 25)) / 25, 0, 1)
    np.testing.assert_allclose(rows[:, 16, 1], expected, rtol=0, atol=1e-6)
    assert (certain[:-1, 16] == 0).all()


@pytest.mark.parametrize("interval_s", [None, 0.02])
def test_gap_of_a_second_is_held_and_a_frame_more_ends_the_track(interval_s: float | None) -> None:
    grid = after_gap(50, 50, interval_s)
    for number in range(1, 51):
        grid.hold(1.02 + number / 50)
        assert grid.lost_s(1.02 + (number + 1) / 50) is None
    grid.hold(1.02 + 51 / 50)
    assert grid.lost_s(1.02 + 52 / 50) == pytest.approx(1.02)


def test_frames_that_never_came_are_a_gap_too() -> None:
    for stall, lost in ((0.4, False), (1.02, False), (1.04, True)):
        grid = FrameGrid(50.0, 100, 0.0, np.zeros((17, 2), np.float32), ONE, 0.02)
        assert (grid.lost_s(stall) is not None) is lost
        if not lost:
            grid.see(stall, np.ones((17, 2), np.float32), ONE)
            assert (grid.rows(1, grid.newest)[0][: max(round((stall - 0.5) * 50) - 1, 0)] == 0).all()


@pytest.mark.parametrize(
    ("joints", "lost"),
    [([16], False), ([15, 16], False), ([2, 3], False), ([2, 12, 13, 15, 16], False), ([3, 6], True), ([1], True), ([8], True)],
    ids=["wrist", "arm", "leg", "arms and knee", "both ankles", "hip", "thorax"],
)
def test_trunk_and_one_whole_leg_must_be_seen(joints: list[int], lost: bool) -> None:
    px = np.random.default_rng(0).normal(size=(17, 2)).astype(np.float32)
    grid, shown = FrameGrid(50.0, 100, 0.0, px, ONE, 0.02), px.copy()
    shown[joints] = np.nan
    for number in range(1, 52):
        grid.see(number / 50, shown, ONE)
    assert (grid.lost_s(1.04) is not None) is lost
    assert np.flatnonzero(grid.unseen(1.04)).tolist() == joints


def test_limb_that_was_never_seen_hangs_down_or_stands_beside_the_other() -> None:
    px = np.random.default_rng(0).normal(size=(17, 2)).astype(np.float32)
    shown = px.copy()
    shown[[15, 16, 5]] = np.nan  # right arm, left knee
    rows, _ = FrameGrid(50.0, 60, 0.0, shown, ONE, 0.02).rows(-5, 0)
    seen = [joint for joint in range(17) if joint not in (15, 16, 5)]
    np.testing.assert_array_equal(rows[:, seen], np.repeat(px[None, seen], 6, axis=0))
    for joint, share in ((15, 0.186 / 0.288), (16, 0.332 / 0.288)):
        np.testing.assert_allclose(rows[3, joint], px[14] + share * (px[1] - px[14]), atol=1e-6)
    np.testing.assert_allclose(rows[3, 5], px[4] + px[2] - px[1], atol=1e-6)
