"""``--web`` as a user types it, and a page that reads along."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import fake_camera
from tests.support.motion import VIDEO, json_lines
from tests.support.user import Command, assert_refused

client = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")
PROGRAM = [sys.executable, "-c", "from poseedge.cli.app import main\nmain()"]


@contextmanager
def serving(*words: object) -> Iterator[tuple[Any, Any]]:
    """Start a verb with a page, and open the page."""
    command = [*PROGRAM, *map(str, words), "--web", "--port", "0"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started: Any = subprocess.Popen(command, text=True, env=os.environ.copy(), **pipes)  # type: ignore[call-overload]
    with started as running:
        try:
            address = next(found[1] for line in running.stderr if (found := re.search(r"browser: http://(\S+)", line)))
            with client.connect(f"ws://{address}frames") as connection:
                assert json.loads(connection.recv(timeout=30))["type"] == "hello"
                yield running, connection
        finally:
            running.kill()


def fetched(connection: Any) -> Any:
    with suppress(exceptions.ConnectionClosed):  # what came before is still there to be read
        connection.send('{"want": "frame"}')
    return json.loads(connection.recv(timeout=30))


def test_stream_shows_what_it_prints(small_bundle: Path) -> None:
    options = ["--artefact", small_bundle, "--size", "1000x1002", "--look-ahead", 0]
    with serving("stream", *options) as (running, connection):
        for text in json_lines(5):
            running.stdin.write(text + "\n")
            running.stdin.flush()
            printed, shown = json.loads(running.stdout.readline()), fetched(connection)
            assert (shown["frame"], shown["time"]) == (printed["frame"], printed["time"])
            assert [person["id"] for person in shown["people"]] == [5]
            root, *_ = shown["people"][0]["joints_m"]
            for place, pose in zip(shown["people"][0]["joints_m"], printed["people"][0]["pose_m"], strict=True):
                assert [place[0] - root[0], root[1] - place[1], root[2] - place[2]] == pytest.approx(pose, abs=2e-4)
        running.stdin.close()
        assert fetched(connection) == {"type": "end"}
        assert running.wait(30) == 0


def test_camera_is_shown_until_ctrl_c(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    fake_camera.plug_in(tmp_path, monkeypatch, VIDEO, count=10**6)
    options = ["--artefact", small_bundle, "--size", "480x480", "--fps", 20]
    with serving("demo", "csi", *options) as (running, connection):
        frames = [fetched(connection) for _ in range(8)]
        assert [frame["type"] for frame in frames] == ["frame"] * 8
        assert any(frame["people"] for frame in frames)
        assert frames[-1]["delay_ms"] > 0
        running.send_signal(signal.SIGINT)
        while fetched(connection)["type"] != "end":
            pass
        assert running.wait(30) == 0
        assert "delay from capture to pose" in running.stdout.read()


def test_video_is_played_until_ctrl_c_and_written_too(small_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    with serving("demo", VIDEO, "--artefact", small_bundle, "-o", tmp_path / "poses.npz") as (running, connection):
        assert (tmp_path / "poses.npz").is_file()
        seen = [fetched(connection)["frame"] for _ in range(30)]
        assert max(seen) <= 29
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
        assert "poses.npz" in running.stdout.read()


def test_stream_shows_another_artefact_over_the_first(small_bundle: Path) -> None:
    graph = next(small_bundle.glob("*_int8.onnx"))
    options = ["--artefact", small_bundle, "--against", graph, "--size", "1000x1002", "--look-ahead", 0]
    with serving("stream", *options) as (running, connection):
        for text in json_lines(3):
            running.stdin.write(text + "\n")
            running.stdin.flush()
            (person,) = fetched(connection)["people"]
            away = np.array(person["joints_m"]) - person["against"]["joints_m"]
            assert 1000 * np.linalg.norm(away, axis=-1).mean() == pytest.approx(person["against"]["distance_mm"], abs=0.2)
            assert 0 < person["against"]["distance_mm"] < 50


def test_another_artefact_without_page_is_refused_by_stream(poseedge: Command, small_bundle: Path) -> None:
    options = ["--artefact", small_bundle, "--against", small_bundle, "--size", "1000x1002"]
    assert_refused(poseedge("stream", *options), "--against cannot apply here", "add --web")


def test_port_without_page_is_refused(poseedge: Command, small_bundle: Path) -> None:
    assert_refused(poseedge("demo", VIDEO, "--artefact", small_bundle, "--port", 8766), "--port cannot apply here", "add --web")
