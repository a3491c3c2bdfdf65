"""What is recorded on the page is what was posed, in the files that ``poseedge lift`` writes."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest

from poseedge.live.demo.live import gathered, live_meta
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.page import ClipPage, LivePage
from poseedge.live.stream import Stream, StreamFrame
from poseedge.live.writers import write
from poseedge.live.writers.npz import read_lifted
from tests.support import recorded
from tests.support.linear_lifter import LinearLifter, clip_of

client = pytest.importorskip("websockets.sync.client")
SIZE = (1000, 1002)
LIFTER = LinearLifter()
META = live_meta(LIFTER, Stream(LIFTER, SIZE, 50.0, "h36m17"), "a walk", "h36m17", 50.0, SIZE)


def fetched(address: str, suffix: str) -> tuple[str, bytes]:
    """Return name and content of a download."""
    with urllib.request.urlopen(f"{address}recording{suffix}", timeout=20) as answer:
        return answer.headers["Content-Disposition"].split('"')[1], answer.read()


def posed(people: int) -> list[StreamFrame]:
    stream, pixels = Stream(LIFTER, SIZE, 50.0, "h36m17", look_ahead=0), recorded.pixels(0)
    frames = []
    for at in range(30):
        frames += stream.push({number: pixels[at] + np.array([200 * number, 0]) for number in range(people)})
    return frames


def press(page: LivePage, on: bool) -> None:
    """Press the button as the page does, and wait until that is heard."""
    with client.connect(page.address.replace("http", "ws") + "frames") as connection:
        connection.send(json.dumps({"record": on}))
        end = time.monotonic() + 10
        while page.recording["running"] is not on:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_recording_holds_every_frame_between_two_presses_and_no_other(tmp_path: Path) -> None:
    frames = posed(people=2)
    with LivePage(SIZE, META, 0) as page:
        for frame in frames[:10]:
            page.show(frame)
        press(page, True)
        for frame in frames[10:25]:
            page.show(frame)
        press(page, False)
        for frame in frames[25:]:
            page.show(frame)
        assert page.recording == {"running": False, "frames": 15}
        name, content = fetched(page.address, ".npz")
    assert name == "recording.npz"
    (tmp_path / name).write_bytes(content)
    found, expected = read_lifted(tmp_path / name), gathered(frames[10:25], META)
    np.testing.assert_array_equal(found.frames, expected.frames)
    np.testing.assert_array_equal(found.poses_m, expected.poses_m)
    assert found.meta == expected.meta


@pytest.mark.parametrize("suffix", [".bvh", ".glb"])
def test_files_are_those_that_lift_writes(tmp_path: Path, suffix: str) -> None:
    frames = posed(people=1)
    with LivePage(SIZE, META, 0) as page:
        press(page, True)
        for frame in frames:
            page.show(frame)
        name, content = fetched(page.address, suffix)
    assert name == f"recording{suffix}"
    write(gathered(frames, META), tmp_path / name)
    assert content == (tmp_path / name).read_bytes()


def test_several_peoples_bvh_files_come_in_an_archive() -> None:
    with LivePage(SIZE, META, 0) as page:
        press(page, True)
        for frame in posed(people=2):
            page.show(frame)
        name, content = fetched(page.address, ".bvh")
    assert name == "recording_bvh.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["recording_0.bvh", "recording_1.bvh"]
        assert archive.read("recording_0.bvh").startswith(b"HIERARCHY")


def test_new_recording_takes_the_last_ones_place() -> None:
    frames = posed(people=1)
    with LivePage(SIZE, META, 0) as page:
        for part in (frames[:20], frames[20:]):
            press(page, True)
            for frame in part:
                page.show(frame)
            press(page, False)
        assert page.recording == {"running": False, "frames": 10}


@pytest.mark.slow
def test_download_before_anything_was_recorded_says_so() -> None:
    with LivePage(SIZE, META, 0) as page, pytest.raises(urllib.error.HTTPError) as refused:
        fetched(page.address, ".npz")
    assert refused.value.code == 409
    assert b"nothing was recorded" in refused.value.read()


def test_clip_can_be_downloaded_whole(tmp_path: Path) -> None:
    lifted = lift_clip(LIFTER, clip_of(recorded.pixels(0)[:40], fps=50.0), LiftOptions())
    with ClipPage(lifted, SIZE, 0).page as page:
        name, content = fetched(page.address, ".npz")
    (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(read_lifted(tmp_path / name).poses_m, lifted.poses_m)
