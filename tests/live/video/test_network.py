"""Videos and cameras behind an address: a file is a file, what has no end is live."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live.video import Frame, open_source
from poseedge.live.video.files import is_live

pytest.importorskip("av")

from tests.live.video import clips


class Handler(BaseHTTPRequestHandler):
    """Gives a file whole, or as a camera does: piece by piece, with no word of how much there is."""

    files: ClassVar[dict[str, Path]] = {}

    def do_GET(self) -> None:
        content = self.files[self.path].read_bytes()
        self.send_response(200)
        if self.path.endswith(".mp4"):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        step = len(content) if self.path.endswith(".mp4") else 188 * 8
        try:
            for start in range(0, len(content), step):
                self.wfile.write(content[start : start + step])
                time.sleep(0.005)
        except OSError:  # the reader has seen enough
            return

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Return the address of a server with ``/file.mp4`` and ``/camera.ts``, of 12 and 100 frames."""
    times = [number / 30 for number in range(100)]
    Handler.files = {
        "/file.mp4": clips.write_video(tmp_path / "file.mp4", times[:12]),
        "/camera.ts": clips.write_video(tmp_path / "camera.ts", times, size=(640, 480)),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_video_behind_an_address_is_read_to_its_end(address: str) -> None:
    source = open_source(f"{address}/file.mp4")
    assert (source.live, source.count) == (False, 12)
    np.testing.assert_allclose([frame.time_s for frame in source], np.arange(12) / 30, atol=1e-3)


@pytest.mark.slow
def test_what_has_no_end_is_live_and_its_end_is_said(address: str) -> None:
    source = open_source(f"{address}/camera.ts")
    assert (source.live, source.size) == (True, (640, 480))
    frames: list[Frame] = []
    with pytest.raises(DataError, match=r"camera\.ts: the stream ended"):
        frames.extend(source)
    source.close()
    assert len(frames) > 50
    assert all(frame.captured_s is not None for frame in frames)


@pytest.mark.parametrize(
    ("address", "duration", "live"),
    [
        ("http://host/file.mp4", 5_000_000, False),
        ("HTTPS://host/file.mp4", 5_000_000, False),
        ("http://host/camera.ts", None, True),
        ("rtsp://host/camera", None, True),
        ("rtsp://host/recording", 5_000_000, True),  # a server need not give it twice
    ],
)
def test_cameras_are_told_from_files(address: str, duration: int | None, live: bool) -> None:
    assert is_live(address, duration) is live


@pytest.mark.slow
def test_address_without_a_video_is_refused(address: str) -> None:
    with pytest.raises(DataError, match="cannot be opened as a video") as refused:
        open_source(address.replace("127.0.0.1", "127.0.0.2").rsplit(":", 1)[0] + ":9/none.mp4")
    assert refused.value.hint == "does the address answer?"
