"""Another network lifts the same people: each gives what it gives alone, and the distance is that between the two."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.live.demo.against import clip_distances_mm, open_stream, stream_distances_mm
from poseedge.live.demo.offline import Drawing, figures_of_clip
from poseedge.live.drawing import PictureMaker, View, distances_mm
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.stream import StreamFrame
from tests.live.demo.scripted import Film, Shown, silent
from tests.support import recorded
from tests.support.linear_lifter import LinearLifter, clip_of

SIZE = (1000, 1002)
FIRST, OTHER = LinearLifter(), LinearLifter(27, tuple(range(9, 18)))


def streamed(*lifters: LinearLifter) -> list[StreamFrame]:
    """Return two walkers' frames, whom nobody gave ids."""
    stream = open_stream(lifters[0], lifters[1] if lifters[1:] else None, SIZE, 50.0, "h36m17", LiftOptions())
    pixels, frames = recorded.pixels(0)[:60], []
    for px in pixels:
        frames += stream.push([px, px + np.array([300, 0])])
    return frames + stream.finish()


@pytest.mark.slow
def test_each_network_gives_what_it_gives_alone_whatever_it_waits_for() -> None:
    for other in (OTHER, LinearLifter(9, tuple(range(9)))):
        both, first, second = streamed(FIRST, other), streamed(FIRST), streamed(other)
        assert [frame.frame for frame in both] == list(range(60))
        for pair, one, two in zip(both, first, second, strict=True):
            assert list(pair.people) == list(pair.against) == [1, 2]
            for number in pair.people:
                np.testing.assert_array_equal(pair.people[number].pose_m, one.people[number].pose_m)
                np.testing.assert_array_equal(pair.against[number].pose_m, two.people[number].pose_m)


def test_without_another_network_there_is_nothing_to_compare() -> None:
    frames = streamed(FIRST)
    assert not any(frame.against for frame in frames)
    assert stream_distances_mm(frames).shape == (0,)


def test_distance_is_the_mean_over_joints_with_root_on_root() -> None:
    pose = np.random.default_rng(0).normal(size=(17, 3))
    moved = pose + np.array([1.0, 2.0, 3.0])  # the whole person: no distance
    moved[5] += [0.03, 0.04, 0.0]
    assert distances_mm(pose, moved) == pytest.approx(50 / 17)
    moved[0] -= [0.01, 0.0, 0.0]  # the root itself: all joints are off by it
    assert distances_mm(pose, moved) == pytest.approx((15 * 10 + 1000 * np.hypot(0.04, 0.04)) / 17)


def test_distances_of_stream_and_clip_are_of_all_poses() -> None:
    frames = streamed(FIRST, OTHER)
    assert len(stream_distances_mm(frames)) == 120
    expected = [distances_mm(frame.people[1].pose_m, frame.against[1].pose_m) for frame in frames]
    np.testing.assert_allclose(stream_distances_mm(frames)[::2], expected)
    clip = clip_of(recorded.pixels(0)[:60])
    one, two = lift_clip(FIRST, clip), lift_clip(OTHER, clip)
    np.testing.assert_allclose(clip_distances_mm(one, two), distances_mm(one.poses_m[0], two.poses_m[0]))
    assert clip_distances_mm(one, one) == pytest.approx(np.zeros(60))


def test_both_poses_stand_at_one_place_and_are_turned_alike() -> None:
    clip = clip_of(recorded.pixels(0)[:60])
    one, two = lift_clip(FIRST, clip), lift_clip(OTHER, clip)
    (figure,) = figures_of_clip(one, SIZE, two).at(30, 0.6)
    assert figure.pose_m is not None
    assert figure.against_m is not None
    np.testing.assert_array_equal(figure.pose_m[0], figure.against_m[0])
    assert distances_mm(figure.pose_m, figure.against_m) == pytest.approx(distances_mm(one.poses_m[0, 30], two.poses_m[0, 30]))


@pytest.mark.slow
def test_other_networks_pose_is_drawn_over_the_first() -> None:
    pytest.importorskip("cv2")
    clip = clip_of(recorded.pixels(0)[:10])
    one, two = lift_clip(FIRST, clip), lift_clip(OTHER, clip)
    pictures = []
    for other in (None, two):
        shown = Shown()
        film = Film(10, size=SIZE)
        Drawing(film, one, PictureMaker(SIZE, View(), "title"), other).run([shown], silent)
        pictures.append(shown.pictures[5].astype(int))
    green = [(picture[..., 1] - picture[..., [0, 2]].max(axis=-1) > 40).sum() for picture in pictures]
    assert green[0] == 0
    assert green[1] > 200
