"""A stream through a lifter that remembers: one frame a call, per person, begun anew when a track ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.backends.onnxruntime import CachedOnnxLifter, OnnxLifter
from poseedge.errors import PoseedgeError
from poseedge.live.demo.look_ahead import for_live
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.overlap import schedule
from poseedge.live.stream import Stream
from tests.support import recorded, streaming
from tests.support.linear_lifter import clip_of
from tests.support.streams import assert_same, faulty_people

Opened = tuple[OnnxLifter, CachedOnnxLifter]


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return streaming.lifters(tmp_path_factory.mktemp("causal"))


class Counted(CachedOnnxLifter):
    """Counts its steps."""

    steps = 0

    def step(self, *given: Any) -> Any:
        self.steps += 1
        return super().step(*given)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"flip": True}, {"smooth": True}], ids=str)
@pytest.mark.parametrize("config", [{}, {"causal": False}], ids=["causal", "with delay"])
def test_poses_of_people_in_sight_are_those_of_whole_windows(
    config: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    windows, stream = streaming.lifters(tmp_path, **config)
    clip = clip_of(recorded.pixels(20)[:320], recorded.pixels(28)[:320])
    wanted, found = (lift_clip(lifter, clip, LiftOptions(view="plain", **options)) for lifter in (windows, stream))
    assert wanted.seen.all()
    np.testing.assert_allclose(found.poses_m, wanted.poses_m, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("fps", [50, 29.97])
@pytest.mark.parametrize("view", ["plain", "person"])
def test_stream_equals_lift_bit_for_bit_with_gaps_faults_and_other_rates(causal: Opened, view: str, fps: float) -> None:
    assert_same(causal[1], faulty_people(), fps, {"view": view, "look_ahead": 0})


def test_a_frame_takes_one_step_and_a_new_person_one_for_each_cache_beside(causal: Opened) -> None:
    lifter = Counted(causal[1].path)
    stream, joints = Stream(lifter, recorded.SIZE, 50.0, "h36m17"), recorded.pixels(20)
    stream.push({1: joints[0]})
    assert lifter.steps == 1 + 3
    for row in joints[1:40]:
        [given] = stream.push({1: row})
        assert list(given.people) == [1]
    assert lifter.steps == 40 + 3
    stream.push({1: joints[40], 2: joints[0]})
    assert lifter.steps == 41 + 3 + 1 + 3


def test_memory_begins_anew_after_a_track_has_ended(causal: Opened) -> None:
    joints = recorded.pixels(20)
    stream = Stream(causal[1], recorded.SIZE, 50.0, "h36m17", view="plain")
    for row in joints[200:260]:
        stream.push({1: row})
    for _ in range(60):  # out of sight for longer than a gap may last
        stream.push({})
    [back] = stream.push({1: joints[0]})
    [fresh] = Stream(causal[1], recorded.SIZE, 50.0, "h36m17", view="plain").push({1: joints[0]})
    np.testing.assert_array_equal(back.people[1].pose_m, fresh.people[1].pose_m)


def test_memory_goes_on_over_a_short_gap(causal: Opened) -> None:
    joints = recorded.pixels(20)
    stream = Stream(causal[1], recorded.SIZE, 50.0, "h36m17", view="plain")
    for row in joints[200:260]:
        stream.push({1: row})
    stream.push({})
    [back] = stream.push({1: joints[0]})
    [fresh] = Stream(causal[1], recorded.SIZE, 50.0, "h36m17", view="plain").push({1: joints[0]})
    assert np.abs(back.people[1].pose_m - fresh.people[1].pose_m).max() > 1e-3


def test_finished_stream_remembers_nobody(causal: Opened) -> None:
    stream, joints = Stream(causal[1], recorded.SIZE, 50.0, "h36m17"), recorded.pixels(20)
    poses = []
    for _ in range(2):
        poses.append([frame.people[1].pose_m for row in joints[:30] for frame in stream.push({1: row})])
        stream.finish()
    np.testing.assert_array_equal(poses[0], poses[1])


def test_view_of_a_person_who_keeps_still_is_that_of_the_window(causal: Opened) -> None:
    clip = clip_of(np.repeat(recorded.pixels(20)[:1], 60, axis=0))
    wanted, found = (lift_clip(lifter, clip, LiftOptions()) for lifter in causal)
    np.testing.assert_allclose(found.poses_m, wanted.poses_m, rtol=0, atol=1e-5)


def test_look_ahead_that_would_need_frames_to_be_forgotten_again_is_refused(tmp_path: Path) -> None:
    windows, stream = streaming.lifters(tmp_path, causal=False)
    assert Stream(windows, recorded.SIZE, 50.0, look_ahead=4).look_ahead == 4
    assert Stream(stream, recorded.SIZE, 50.0).look_ahead == 13
    with pytest.raises(PoseedgeError, match="look-ahead of 4 frames: what videopose3d remembers"):
        Stream(stream, recorded.SIZE, 50.0, look_ahead=4)


@pytest.mark.parametrize(("config", "wait"), [({}, 0), ({"causal": False}, 13)], ids=["causal", "with delay"])
def test_live_sources_wait_as_long_as_it_needs(config: dict[str, Any], wait: int, tmp_path: Path) -> None:
    _, lifter = streaming.lifters(tmp_path, **config)
    options = for_live(LiftOptions(), lifter.spec)
    assert schedule(lifter.spec, look_ahead=options.look_ahead).look_ahead == wait
