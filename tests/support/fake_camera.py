"""A stand-in for ``gst-launch-1.0``: plays a video as a Jetson's camera would deliver it, and then is unplugged.

What it takes and gives is what ``poseedge.live.video.csi.pipeline`` says; no Jetson was at hand.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

_PROGRAM = """#!{python}
import re, sys, time
import av, numpy as np
words = " ".join(sys.argv[1:])
width, height = (int(re.search(rf"format=BGRx.*{{what}}=(\\d+)", words)[1]) for what in ("width", "height"))
fps = int(re.search(r"framerate=(\\d+)", words)[1])
with av.open({video!r}) as container:
    frames = [frame.to_ndarray(format="bgra") for frame in container.decode(video=0)]
turns = frames + frames[::-1]
start = time.monotonic()
for number in range({count}):
    screen = np.zeros((height, width, 4), np.uint8)
    picture = turns[number % len(turns)]
    screen[: picture.shape[0], : picture.shape[1]] = picture
    sys.stdout.buffer.write(screen.tobytes())
    sys.stdout.buffer.flush()
    time.sleep(max(0.0, start + (number + 1) / fps - time.monotonic()))
print("ERROR: {says}", file=sys.stderr)
"""


def plug_in(folder: Path, monkeypatch: pytest.MonkeyPatch, video: Path, count: int, says: str = "the camera went away") -> None:
    """Put a program first on PATH that gives ``count`` frames of ``video`` and then fails."""
    program = folder / "gst-launch-1.0"
    program.write_text(_PROGRAM.format(python=sys.executable, video=str(video), count=count, says=says))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
