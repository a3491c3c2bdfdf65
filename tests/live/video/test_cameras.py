"""Cameras give the time at which frames arrive, and say when they are gone."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live.video import open_source
from poseedge.live.video.csi import pipeline

cv2 = pytest.importorskip("cv2")
pytest.importorskip("av")

from tests.live.video import clips  # noqa: E402

# Writes frames of W x H BGRx whose blue is 10, green 20 and red the number of the frame, until it was asked for N.
FAKE_GST = """#!/usr/bin/env python3
import re, sys
words = " ".join(sys.argv[1:])
width, height = (int(re.search(rf"format=BGRx.*{{what}}=(\\d+)", words)[1]) for what in ("width", "height"))
for number in range({count}):
    sys.stdout.buffer.write(bytes([10, 20, number, 0]) * (width * height))
    sys.stdout.buffer.flush()
print("a line", file=sys.stderr)
print("ERROR: {says}", file=sys.stderr)
"""


def put_gst(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, says: str = "no camera") -> None:
    program = folder / "gst-launch-1.0"
    program.write_text(FAKE_GST.format(count=count, says=says))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_csi_camera_gives_rgb_frames_of_the_size_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_gst(tmp_path, monkeypatch, count=5)
    source = open_source("csi", size=(320, 240), fps=60)
    frames = list(itertools.islice(source, 5))
    source.close()
    assert (source.size, source.fps, source.live) == ((320, 240), 60, True)
    assert [tuple(frame.rgb[-1, -1]) for frame in frames] == [(number, 20, 10) for number in range(5)]
    assert all(frame.captured_s is not None and frame.captured_s <= time.monotonic() for frame in frames)


def test_csi_camera_that_stops_is_said_with_the_programs_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_gst(tmp_path, monkeypatch, count=2, says="Argus: no cameras available")
    source = open_source("csi", size=(32, 16))
    with pytest.raises(DataError, match=r"gives no more pictures \(ERROR: Argus: no cameras available\)"):
        list(source)
    source.close()


def test_csi_camera_ends_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_gst(tmp_path, monkeypatch, count=10**9)
    source: Any = open_source("csi", size=(32, 16))
    next(iter(source))
    source.close()
    assert source._process.returncode is not None


def test_csi_without_gstreamer_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"there is no gst-launch-1\.0 here") as refused:
        open_source("csi")
    assert "apt-get install gstreamer1.0-tools" in refused.value.hint


def test_pipeline_asks_for_size_and_rate_and_raw_pixels() -> None:
    words = " ".join(pipeline((1280, 720), 29.97))
    assert "nvarguscamerasrc" in words
    assert "width=1280,height=720,framerate=30/1" in words
    assert words.endswith("format=BGRx,width=1280,height=720 ! fdsink fd=1")


@pytest.fixture
def plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that plays a video of three frames and is then unplugged: OpenCV's own reader on a file."""
    path, opened = str(clips.write_video(tmp_path / "v.mp4", [0, 0.1, 0.2])), cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: opened(path))


def test_camera_gives_rgb_and_is_missed_when_unplugged(plugged_in: None) -> None:
    source = open_source("0")
    assert (source.size, source.live) == (clips.SIZE, True)
    with pytest.raises(DataError, match="camera 0: gives no more pictures") as refused:
        list(source)
    assert "unplugged" in refused.value.hint
    source.close()


def test_frames_before_the_camera_was_unplugged_are_given(plugged_in: None) -> None:
    frames = list(itertools.islice(open_source("0"), 3))
    times = [frame.time_s for frame in frames]
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    assert frames[1].rgb[:8, :8].mean() > 240


def test_camera_that_is_not_there_is_refused_in_our_words_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="camera 99: cannot be opened"):
        open_source("99")
    assert capfd.readouterr().err == ""
