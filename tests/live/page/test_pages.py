"""What a page shows: a live source's poses as they become final, or a clip again and again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from poseedge.live.demo.live import Show, live_meta
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.page import ClipPage, LivePage
from poseedge.live.stream import Stream
from tests.live.demo.scripted import FPS, SIZE, Film, Script, person_at, silent
from tests.support import recorded
from tests.support.linear_lifter import LinearLifter, clip_of

client = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")
pytestmark = pytest.mark.slow


def frames_of(address: str) -> Iterator[Any]:
    """Fetch frames as the page does."""
    with client.connect(address.replace("http", "ws") + "frames") as connection:
        assert json.loads(connection.recv(timeout=10))["type"] == "hello"
        while True:
            with suppress(exceptions.ConnectionClosed):  # what came before is still there to be read
                connection.send('{"want": "frame"}')
            message = json.loads(connection.recv(timeout=10))
            if message["type"] == "end":
                return
            yield message


def shown_frames(readers: int) -> tuple[int, list[Any]]:
    """Return how many of 60 frames of a live source were posed, and what a page that reads all was given."""
    film, stream = Film(60, live=True, pause_s=0.04), Stream(LinearLifter(), SIZE, FPS, look_ahead=5)
    got: list[Any] = []
    with LivePage(SIZE, live_meta(LinearLifter(), stream, "film", "coco17", FPS, SIZE), 0) as page:
        stuck = [client.connect(page.address.replace("http", "ws") + "frames", max_queue=1) for _ in range(readers)]
        for connection in stuck:
            connection.send('{"want": "frame"}')  # and never reads
        fetching = threading.Thread(target=lambda: got.extend(frames_of(page.address)))
        fetching.start()
        show = Show(film, Script([(person_at(200.0), person_at(450.0))]), stream, None, None, page)
        show.run([], silent)
    fetching.join(10)
    return len(show.frames), got


def test_live_frames_come_in_order_with_rate_and_delay() -> None:
    _, got = shown_frames(readers=0)
    numbers = [frame["frame"] for frame in got]
    assert len(numbers) > 10
    assert numbers == sorted(set(numbers))
    assert {person["id"] for frame in got for person in frame["people"]} == {1, 2}
    assert 0 < got[-1]["fps"] < 40
    assert np.median([frame["delay_ms"] for frame in got]) >= 100  # five frames of 50 Hz
    for frame in got:
        for person in frame["people"]:
            assert np.array(person["joints_m"])[:, 1].min() > 0  # on the floor


def test_pages_that_never_read_do_not_slow_the_pose_rate() -> None:
    alone, _ = shown_frames(readers=0)
    crowded, _ = shown_frames(readers=5)
    assert crowded > 0.8 * alone


def test_clip_is_played_at_its_pace_and_begins_anew() -> None:
    pixels = recorded.pixels(0)[:40]
    lifted = lift_clip(LinearLifter(), clip_of(pixels, fps=50.0), LiftOptions())
    clip = ClipPage(lifted, (1000, 1002), 0)
    got: list[Any] = []
    with clip.page as page:
        playing = threading.Thread(target=clip.run)
        playing.start()
        for frame in frames_of(page.address):
            got.append(frame)
            if len(got) > 1 and frame["frame"] < got[-2]["frame"]:
                break
        clip.stop()
        playing.join(10)
    numbers = [frame["frame"] for frame in got[:-1]]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 39
    for frame in got:
        assert frame["time"] == pytest.approx(frame["frame"] / 50)
        assert [person["id"] for person in frame["people"]] == [1]
