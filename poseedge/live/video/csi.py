"""A Jetson's CSI camera: NVIDIA's source lives in GStreamer, which OpenCV's wheels lack, so its own program delivers."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from poseedge.errors import DataError
from poseedge.live.video.source import Frame

PROGRAM = "gst-launch-1.0"
_CHANNELS = 4  # BGRx


class CsiCamera:
    """Frames from a ``gst-launch-1.0`` process that writes raw pixels to a pipe."""

    live = True
    count: int | None = None
    name = "csi camera"

    def __init__(self, size: tuple[int, int], fps: float) -> None:
        self.size = size
        self.fps: float | None = fps
        program = shutil.which(PROGRAM)
        if program is None:
            raise DataError(f"{self.name}: there is no {PROGRAM} here", "JetPack brings it: apt-get install gstreamer1.0-tools")
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # a pipe that nobody reads would stop the program
        self._process = subprocess.Popen([program, "-q", *pipeline(size, fps)], stdout=subprocess.PIPE, stderr=self._said)

    def __iter__(self) -> Iterator[Frame]:
        width, height = self.size
        stream = self._process.stdout
        assert stream is not None
        start: float | None = None
        number = 0
        while True:
            content = stream.read(width * height * _CHANNELS)
            if len(content) < width * height * _CHANNELS:
                raise DataError(f"{self.name}: {PROGRAM} gives no more pictures{self._reason()}", "is the camera connected?")
            now = time.monotonic()
            start = now if start is None else start
            bgrx = np.frombuffer(content, np.uint8).reshape(height, width, _CHANNELS)
            yield Frame(np.ascontiguousarray(bgrx[..., 2::-1]), number, now - start, now)
            number += 1

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._said.close()

    def _reason(self) -> str:
        """Return the last line that the program wrote to its standard error, in brackets."""
        self._process.wait(timeout=5)
        self._said.seek(0)
        lines = [line for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        return f" ({lines[-1].strip()})" if lines else ""


def pipeline(size: tuple[int, int], fps: float) -> list[str]:
    """Return GStreamer's pipeline, word by word: camera to raw BGRx on standard output."""
    width, height = size
    return [
        *("nvarguscamerasrc", "!"),
        *(f"video/x-raw(memory:NVMM),width={width},height={height},framerate={round(fps)}/1", "!"),
        *("nvvidconv", "!"),
        *(f"video/x-raw,format=BGRx,width={width},height={height}", "!"),
        *("fdsink", "fd=1"),
    ]
