"""Writing pictures as a video (H.264 or VP9), an animated GIF, or files of one each; only whole files take their names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from poseedge.errors import PoseedgeError, require
from poseedge.files import atomic_write
from poseedge.live.detectors.person import Picture

STILLS = (".png", ".jpg")
SUFFIXES = (".mp4", ".webm", ".gif", *STILLS)


@dataclass(frozen=True)
class Coding:
    """How PyAV is to encode pictures."""

    suffix: str
    codec: str
    pixels: str
    tick: Fraction  # of a second: times of frames are whole numbers of these
    options: dict[str, str] = field(default_factory=dict)
    most_fps: float | None = None  # more pictures are left out
    widest: int | None = None  # larger pictures are made smaller
    palette: bool = False


H264 = Coding(".mp4", "libx264", "yuv420p", Fraction(1, 90_000), {"preset": "veryfast", "crf": "21"})
VP9 = Coding(
    ".webm",
    "libvpx-vp9",
    "yuv420p",
    Fraction(1, 1000),
    {"deadline": "realtime", "cpu-used": "7", "row-mt": "1", "crf": "33", "b": "0"},
)
# A GIF of more pictures, or larger ones, outgrows the video that it shows.
GIF = Coding(".gif", "gif", "pal8", Fraction(1, 100), most_fps=12.5, widest=640, palette=True)


class Output(Protocol):
    """Takes pictures in order; leaving its ``with`` block finishes the file, also after an error that is not its own."""

    @property
    def written(self) -> str:
        """Return the files' names for people, empty if there are none."""

    def __enter__(self) -> Output:
        """Make the file under a temporary name."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Finish the file and give it its name; if writing failed, leave none."""

    def write(self, rgb: Picture, time_s: float) -> None:
        """Add a picture, shown from ``time_s`` on; raises ``PoseedgeError`` where it cannot be written."""


def open_output(path: Path, size: tuple[int, int], fps: float, numbered: bool = True) -> Output:
    """Return what writes pictures of ``size`` (width, height, both even) to ``path``, by its suffix.

    ``fps``: about how many come in a second. Where H.264 cannot be encoded, ``x.mp4`` becomes ``x.webm``: see
    ``Output.written``. ``numbered``: each PNG or JPEG has its number in its name.
    """
    if path.suffix in STILLS:
        return Stills(path, numbered)
    wanted = {H264.suffix: (H264, VP9), VP9.suffix: (VP9,), GIF.suffix: (GIF,)}[path.suffix]
    for coding in wanted:
        if has_encoder(coding.codec):
            return VideoWriter(path.with_suffix(coding.suffix), coding, size, fps)
    missing = " nor ".join(coding.codec for coding in wanted)
    raise PoseedgeError(f"{path}: this PyAV cannot encode {missing}", "pip install --force-reinstall av, or write a .gif")


def has_encoder(name: str) -> bool:
    """Say whether PyAV can encode with ``name``."""
    av = require("av", "demo")
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


class VideoWriter:
    """A file that PyAV writes."""

    def __init__(self, path: Path, coding: Coding, size: tuple[int, int], fps: float) -> None:
        self.path, self._coding, self._fps = path, coding, fps
        self._av = require("av", "demo")
        self._size = _narrowed(size, coding.widest)
        self._held: AbstractContextManager[Path] = atomic_write(path)
        self._container: Any = None
        self._stream: Any = None
        self._palette = Palette(self._size, coding.tick) if coding.palette else None
        self._due_s = 0.0
        self._last_tick = -1
        self._failed = False

    @property
    def written(self) -> str:
        """Return the file's name."""
        return str(self.path)

    def __enter__(self) -> VideoWriter:
        temporary = self._held.__enter__()
        try:
            with self._writing():
                self._open(temporary)
        except BaseException as error:
            self._held.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        failure = error if self._failed else None
        if failure is None and self._last_tick < 0:
            failure = error or PoseedgeError(f"{self.path}: there was no picture to write", "no person and no frame came")
        if failure is None:
            try:
                with self._writing():
                    self._encode(None)
                    self._container.close()
            except PoseedgeError as unfinished:
                failure = unfinished
        if failure is None:
            self._held.__exit__(None, None, None)
            return
        with suppress(self._av.FFmpegError, OSError):
            self._container.close()
        self._held.__exit__(type(failure), failure, failure.__traceback__)
        if failure is not error:
            raise failure

    def write(self, rgb: Picture, time_s: float) -> None:
        """Add a picture, shown from ``time_s`` on; raises ``PoseedgeError`` where it cannot be written."""
        if self._coding.most_fps:
            if time_s < self._due_s - 1e-6:
                return
            self._due_s = max(self._due_s + 1 / self._coding.most_fps, time_s)
        if (rgb.shape[1], rgb.shape[0]) != self._size:
            cv2 = require("cv2", "demo")
            rgb = cv2.resize(rgb, self._size, interpolation=cv2.INTER_AREA)
        frame = self._frame_of(rgb)
        self._last_tick = max(round(time_s / self._coding.tick), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, self._coding.tick
        with self._writing():
            self._encode(self._palette.apply(frame) if self._palette else frame)

    def _frame_of(self, rgb: Picture) -> Any:
        """Return a picture as the encoder takes it; OpenCV's conversion takes a quarter of FFmpeg's time."""
        if self._coding.pixels != "yuv420p":
            return self._av.VideoFrame.from_ndarray(rgb, format="rgb24")
        cv2 = require("cv2", "demo")
        return self._av.VideoFrame.from_ndarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), format="yuv420p")

    def _open(self, path: Path) -> None:
        coding = self._coding
        self._container = self._av.open(str(path), "w", format=coding.suffix[1:])
        fps = min(self._fps, coding.most_fps or self._fps)
        self._stream = self._container.add_stream(coding.codec, rate=Fraction(fps).limit_denominator(1001))
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt, self._stream.options = coding.pixels, dict(coding.options)
        self._stream.codec_context.time_base = coding.tick

    def _encode(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (self._av.FFmpegError, OSError) as error:
            self._failed = True
            raise PoseedgeError(f"{self.path}: cannot be written ({error.strerror})", "is the disk full?") from error


class Palette:
    """FFmpeg's filters that give each picture the 256 colours that show it best."""

    def __init__(self, size: tuple[int, int], tick: Fraction) -> None:
        graph = require("av", "demo").filter.Graph()
        self._source = graph.add_buffer(width=size[0], height=size[1], format="rgb24", time_base=tick)
        split, make = graph.add("split"), graph.add("palettegen", "stats_mode=single")
        use, self._sink = graph.add("paletteuse", "new=1:dither=none"), graph.add("buffersink")
        self._source.link_to(split)
        split.link_to(make, 0)
        split.link_to(use, 1, 0)
        make.link_to(use, 0, 1)
        use.link_to(self._sink)
        graph.configure()
        self._graph = graph  # it owns the filters

    def apply(self, frame: Any) -> Any:
        """Return ``frame`` with a palette."""
        self._source.push(frame)
        return self._sink.pull()


class Stills:
    """A PNG or JPEG file per picture."""

    def __init__(self, path: Path, numbered: bool) -> None:
        self.path, self._numbered = path, numbered
        self._count = 0

    @property
    def written(self) -> str:
        """Return the names of the first and the last file, or of the only one."""
        first, last = self._path(0), self._path(max(self._count - 1, 0))
        return str(first) if first == last else f"{first} to {last}"

    def __enter__(self) -> Stills:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Each file is whole already."""

    def write(self, rgb: Picture, time_s: float) -> None:
        """Write the next picture: ``x.png``, or ``x_000000.png`` and so on."""
        cv2 = require("cv2", "demo")
        path = self._path(self._count)
        _, content = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        with atomic_write(path) as temporary:
            temporary.write_bytes(content.tobytes())
        self._count += 1

    def _path(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.stem}_{number:06d}{self.path.suffix}") if self._numbered else self.path


def _narrowed(size: tuple[int, int], widest: int | None) -> tuple[int, int]:
    """Return ``size`` as it is, or with the shape kept at most ``widest`` wide, both sides even."""
    if widest is None or size[0] <= widest:
        return size
    return widest, round(size[1] * widest / size[0] / 2) * 2
