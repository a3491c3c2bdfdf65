"""A live source is shown frame by frame as poses become final, with the delay measured from capture to pose."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live.demo.live import Show, gathered
from poseedge.live.drawing import PictureMaker, View
from poseedge.live.stream import Stream
from tests.live.demo.scripted import FPS, SIZE, Film, Script, Shown, person_at, silent
from tests.support.linear_lifter import LinearLifter

pytest.importorskip("cv2")


def show(film: Film, look_ahead: int = 5, seconds: float | None = None, empty: bool = False) -> Show:
    people = () if empty else (person_at(300.0),)
    stream = Stream(LinearLifter(), SIZE, FPS, look_ahead=look_ahead)
    return Show(film, Script([people]), stream, PictureMaker(SIZE, View(), "title"), seconds)


@pytest.mark.slow
def test_every_frame_that_was_seen_is_shown_once_in_order() -> None:
    running, shown = show(Film(40, live=True, pause_s=0.04)), Shown()
    running.run([shown], silent)
    numbers = [frame.frame for frame in running.frames]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + running.dropped >= 40
    assert 0 < len(shown.pictures) <= len(numbers)
    assert (np.diff(shown.times) > 0).all()


@pytest.mark.slow
def test_delay_is_the_look_ahead_at_least() -> None:
    running = show(Film(60, live=True, pause_s=0.04), look_ahead=25)
    running.run([], silent)
    assert 0.45 < np.median(running.delays_s) < 1.5  # 25 frames of 50 Hz, and the work


@pytest.mark.slow
def test_it_stops_by_itself_after_seconds() -> None:
    running = show(Film(None, live=True, pause_s=0.02), seconds=1.0)
    running.run([], silent)
    assert running.frames[-1].time_s <= 1.0


@pytest.mark.slow
def test_frames_before_the_source_broke_off_are_shown() -> None:
    running, shown = show(Film(10, live=True, breaks=True, pause_s=0.05)), Shown()
    with pytest.raises(DataError, match="gives no more pictures"):
        running.run([shown], silent)
    assert running.frames
    assert shown.pictures


@pytest.mark.slow
def test_empty_room_is_shown_too() -> None:
    running, shown = show(Film(10, live=True, pause_s=0.05), empty=True), Shown()
    running.run([shown], silent)
    assert shown.pictures
    assert all(not frame.people for frame in running.frames)


@pytest.mark.slow
def test_gathered_poses_are_the_streams() -> None:
    running = show(Film(20, live=True, pause_s=0.04))
    running.run([], silent)
    lifted = gathered(running.frames, {"source": "film"})
    assert lifted.poses_m.shape == (1, len(running.frames), 17, 3)
    for column, frame in enumerate(running.frames):
        np.testing.assert_array_equal(lifted.poses_m[0, column], frame.people[1].pose_m)
        assert (lifted.frames[column], lifted.times_s[column]) == (frame.frame, frame.time_s)
    assert lifted.meta == {"source": "film", "axes": "camera"}
