"""A stream gives what lifting the file gives, as soon as it can, in constant memory."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import poseedge
from poseedge.errors import DataError
from poseedge.live.lift import lift_clip, trunk_and_leg
from poseedge.live.options import LiftOptions
from poseedge.live.stream import Stream
from poseedge.live.types import Clip
from poseedge.live.view import TRUNK_AND_LEG
from tests.support import motion, recorded
from tests.support.linear_lifter import Array, LinearLifter, clip_of
from tests.support.streams import assert_same, faceless_people, faulty_people


@pytest.mark.slow
@pytest.mark.parametrize("look_ahead", [None, 0, 1, 3, 40])
@pytest.mark.parametrize("fps", [50, 25, 29.97, 60])
def test_stream_equals_lift_bit_for_bit(fps: float, look_ahead: int | None) -> None:
    assert_same(LinearLifter(), faulty_people(), fps, {"look_ahead": look_ahead})


@pytest.mark.slow
@pytest.mark.parametrize("fps", [50, 15])
def test_stream_equals_lift_where_faces_come_and_go(fps: float) -> None:
    assert_same(LinearLifter(), faceless_people(), fps, {"look_ahead": 3})


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"view": "plain"}, {"overlap": False}, {"every": 3}, {"flip": True}, {"smooth": True}, {"camera_pitch_deg": 10.0}],
    ids=lambda options: next(iter(options)),
)
def test_stream_equals_lift_with_every_option(options: dict[str, Any]) -> None:
    assert_same(LinearLifter(), faulty_people(), 30, options)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"overlap": False}, {"every": 9}, {"look_ahead": 5}])
def test_stream_equals_lift_with_a_network_that_gives_its_whole_window(options: dict[str, Any]) -> None:
    assert_same(LinearLifter(27, tuple(range(27)), channels=3), faulty_people(), 50, options)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_stream_equals_lift_with_a_real_network(small_bundle: Path, precision: str) -> None:
    assert_same(poseedge.load(small_bundle, precision), faulty_people(), 25, {"look_ahead": 2})


@pytest.mark.parametrize("look_ahead", [0, 7, 125])
def test_a_pose_comes_when_its_look_ahead_has_gone_by(look_ahead: int) -> None:
    stream = Stream(LinearLifter(), recorded.SIZE, 50.0, "h36m17", look_ahead=look_ahead)
    joints = recorded.pixels(20)[:150]
    given = [[frame.frame for frame in stream.push({1: px})] for px in joints]
    assert given == [[newest - look_ahead] if newest >= look_ahead else [] for newest in range(150)]
    assert [frame.frame for frame in stream.finish()] == list(range(150 - look_ahead, 150))


def test_look_ahead_is_that_of_the_network_by_default() -> None:
    assert Stream(LinearLifter(), recorded.SIZE, 50.0).look_ahead == 125
    assert Stream(LinearLifter(27, (13,)), recorded.SIZE, 50.0).look_ahead == 13


def test_frames_without_people_come_at_once_and_in_order() -> None:
    stream = Stream(LinearLifter(), recorded.SIZE, 50.0)
    assert [stream.push({})[0].frame, stream.push([])[0].people] == [0, {}]


def test_people_without_ids_are_linked() -> None:
    stream, one, other = (
        Stream(LinearLifter(), recorded.SIZE, 50.0, look_ahead=0),
        motion.coco(0),
        motion.coco(1) + np.float32(300),
    )
    found = [
        stream.push(np.stack(pair if number % 2 else pair[::-1])) for number, pair in enumerate(zip(one, other, strict=True))
    ]
    alone = Stream(LinearLifter(), recorded.SIZE, 50.0, look_ahead=0)
    for frame, px in zip(found, other, strict=True):
        expected = alone.push({1: px})[0].people[1].pose_m
        np.testing.assert_array_equal(frame[0].people[1].pose_m, expected)  # the first of the first frame


def test_time_stamps_say_when_a_frame_was() -> None:
    joints = recorded.pixels(20)
    stamped, counted = (Stream(LinearLifter(), recorded.SIZE, fps, "h36m17", look_ahead=0) for fps in (None, 50.0))
    for number, px in enumerate(joints[:40]):
        late = stamped.push({1: px}, time_s=1000 + number / 50)[0].people[1].pose_m
        np.testing.assert_allclose(late, counted.push({1: px})[0].people[1].pose_m, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_many_frames_and_people_take_no_more_memory() -> None:
    lifter, joints = LinearLifter(27, (13,)), recorded.pixels(20)
    stream = Stream(lifter, recorded.SIZE, 50.0, "h36m17")

    def memory_after(first: int, last: int) -> int:
        for number in range(first, last):
            place = number % 598
            stream.push({number // 100: joints[min(place, 598 - place)]})  # somebody new every other second
        lifter.windows.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before, after = memory_after(0, 1000), memory_after(1000, 4000)
    tracemalloc.stop()
    assert after - before < 50_000


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ({1: np.zeros((16, 2))}, r"expected keypoints \(17, 2\) or \(17, 3\) of coco17, found \(16, 2\)"),
        (np.zeros((2, 17, 4)), r"found \(17, 4\)"),
        ({1: np.zeros(34)}, r"found \(34,\)"),
    ],
)
def test_other_shapes_are_refused(people: dict[int, Array] | Array, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Stream(LinearLifter(), recorded.SIZE, 50.0).push(people)


@pytest.mark.parametrize("missed", [False, True])
def test_normalized_coordinates_are_refused(missed: bool) -> None:
    people = motion.coco()[:1] / [1000, 1002]
    people[0, 3] = np.nan if missed else people[0, 3]
    with pytest.raises(
        DataError, match=r"frame 0: coordinates from 0\.3.* to 0\.7.*: they are normalized, and pixels are wanted"
    ):
        Stream(LinearLifter(), (1000, 1002), 50).push(people)
    assert Stream(LinearLifter(), (1000, 1002), 50).push(np.zeros((1, 17, 2))) is not None


def test_time_that_does_not_increase_is_refused() -> None:
    stream = Stream(LinearLifter(), recorded.SIZE, 50.0)
    stream.push({}, time_s=3.0)
    with pytest.raises(DataError, match="frame 1 at 3 s comes after frame 0 at 3 s"):
        stream.push({}, time_s=3.0)


def test_frame_whose_time_cannot_be_told_is_refused() -> None:
    with pytest.raises(DataError, match="when was this frame"):
        Stream(LinearLifter(), recorded.SIZE).push({})


@pytest.mark.parametrize("look_ahead", [0, 125])
def test_height_makes_the_people_of_a_stream_as_tall_as_said(look_ahead: int) -> None:
    joints = recorded.pixels(20)
    sized, plain = (
        Stream(LinearLifter(), recorded.SIZE, 50.0, "h36m17", look_ahead=look_ahead, height_m=height) for height in (1.8, None)
    )
    found, shapes = (
        np.stack(
            [f.people[1].pose_m for px in joints for f in stream.push({1: px})] + [f.people[1].pose_m for f in stream.finish()]
        )
        for stream in (sized, plain)
    )
    lengths = trunk_and_leg(found)
    assert np.median(lengths[-250:]) == pytest.approx(1.8 * TRUNK_AND_LEG, rel=0.05)
    assert lengths[0] == pytest.approx(1.8 * TRUNK_AND_LEG, rel=1e-5)  # from the first pose on
    share = found[:, 1:].reshape(len(found), -1) / shapes[:, 1:].reshape(len(found), -1)
    np.testing.assert_allclose(share, np.repeat(share[:, :1], 48, axis=1), rtol=1e-3)  # only the size
    assert not sized._lengths  # nothing is kept of who has gone


def test_clip_and_stream_may_hold_nobody() -> None:
    lifted = lift_clip(LinearLifter(), Clip("empty", "coco17", (), np.arange(5), recorded.SIZE, 50.0), LiftOptions())
    assert lifted.poses_m.shape == (0, 5, 17, 3)
    assert clip_of(recorded.pixels(0)).tracks
