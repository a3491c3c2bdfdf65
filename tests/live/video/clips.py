"""Small videos for tests: a grey level per frame, with a white corner that tells which way is up."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

SIZE = (64, 48)
TICK = Fraction(1, 90_000)
_MATRICES = {  # of ISO/IEC 14496-12, 16.16 and 2.30 fixed point: how a phone's video is to be turned, clockwise
    90: (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30),
    180: (-(1 << 16), 0, 0, 0, -(1 << 16), 0, 0, 0, 1 << 30),
    270: (0, -(1 << 16), 0, 1 << 16, 0, 0, 0, 0, 1 << 30),
}


def picture(level: int, size: tuple[int, int] = SIZE) -> npt.NDArray[np.uint8]:
    """Return a picture of one grey level whose upper left quarter is white."""
    rgb = np.full((size[1], size[0], 3), level, np.uint8)
    rgb[: size[1] // 2, : size[0] // 2] = 255
    return rgb


def write_video(path: Path, times_s: Sequence[float], size: tuple[int, int] = SIZE, rate: int = 30) -> Path:
    """Write an H.264 video, an MP4's index first: at each of ``times_s`` a frame, of grey level 0, 5, ... 195, 0, ..."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "5", "bf": "0"}
        stream.codec_context.time_base = TICK
        container.start_encoding()
        for number, at in enumerate(times_s):
            frame = av.VideoFrame.from_ndarray(picture(5 * number % 200, size), format="rgb24")
            frame.pts, frame.time_base = round(at / TICK), TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """Write a file of sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn(path: Path, degrees: int) -> None:
    """Say in an MP4 file's track header that it is to be shown turned clockwise, as phones do."""
    content = bytearray(path.read_bytes())
    header = content.index(b"tkhd")
    assert content[header + 4] == 0  # version 0: the matrix begins 40 bytes after version and flags
    struct.pack_into(">9i", content, header + 4 + 40, *_MATRICES[degrees])
    path.write_bytes(content)
