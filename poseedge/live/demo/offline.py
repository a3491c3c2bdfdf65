"""A video or pictures from beginning to end: detect in all frames, lift, then draw, so that poses know what comes after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from poseedge.errors import DataError
from poseedge.live.demo.pipeline import Pipeline, PipelineStep, Times
from poseedge.live.detectors.person import Detector, Person
from poseedge.live.drawing import LiftedFigures, PictureMaker
from poseedge.live.tracks import link
from poseedge.live.types import Clip, Lifted, Track
from poseedge.live.video.output import Output
from poseedge.live.video.source import Frame, Source
from poseedge.live.world import CAMERA, estimated_pitch, on_floor

Advance = Callable[[int], None]
# Pictures that do not follow each other: farther apart than any gap that is bridged.
PICTURES_FPS = 0.5


@dataclass(frozen=True)
class _Seen:
    """What is kept of a frame: not its picture, of which there may be hours."""

    number: int
    time_s: float
    people: tuple[Person, ...]


class Detection:
    """The keypoints of all people of a source; ``stop`` ends it early."""

    def __init__(self, source: Source, detector: Detector, seconds: float | None = None) -> None:
        """``seconds``: leave out what comes later."""
        self._source, self._detector, self._seconds = source, detector, seconds
        self._pipeline = Pipeline(source, [PipelineStep("detect", self._detect)])
        self.times: dict[str, Times] = self._pipeline.times
        self.broken_off: DataError | None = None  # why the source ended early, if it did
        self.stopped = False  # before its end

    def stop(self) -> None:
        """Read no more frames."""
        self.stopped = True
        self._pipeline.stop()

    def run(self, advance: Advance) -> Clip:
        """Return the clip; ``advance`` is told of frames done. Raises ``DataError`` if no frame can be read."""
        seen: list[_Seen] = []
        with self._pipeline as items:
            try:
                for item in items:
                    seen.append(item)
                    advance(1)
            except DataError as error:
                if not seen:
                    raise
                self.broken_off, self.stopped = error, True
        return self._clip(seen)

    def _detect(self, frame: Frame) -> list[_Seen]:
        if self._seconds is not None and frame.time_s >= self._seconds:
            self.stop()
            return []
        return [_Seen(frame.number, frame.time_s, self._detector.detect(frame.rgb))]

    def _clip(self, seen: Sequence[_Seen]) -> Clip:
        rows = [(each.number, person) for each in seen for person in each.people]
        tracks: tuple[Track, ...] = ()
        fps = self._source.fps or PICTURES_FPS
        if rows:
            tracks = link(
                np.array([number for number, _ in rows], np.int64),
                np.stack([person.keypoints for _, person in rows]),
                np.stack([person.scores for _, person in rows]),
                fps=fps,
            )
        frames = np.array([each.number for each in seen])
        times = np.array([each.time_s for each in seen]) if self._source.fps else frames / fps
        return Clip(self._source.name, self._detector.layout, tracks, frames, self._source.size, fps, times)


class Drawing:
    """The pictures of lifted poses over the source's frames; ``stop`` ends it early."""

    def __init__(self, source: Source, lifted: Lifted, maker: PictureMaker, against: Lifted | None = None) -> None:
        """``against``: the same people's poses by another network."""
        self._maker, self._figures = maker, figures_of_clip(lifted, source.size, against)
        self._last = int(lifted.frames[-1])
        self._pipeline = Pipeline(source, [PipelineStep("shrink", self._shrink), PipelineStep("draw", self._draw)])
        self.times: dict[str, Times] = self._pipeline.times
        self.times["encode"] = Times()

    def stop(self) -> None:
        """Draw no more frames."""
        self._pipeline.stop()

    def run(self, outputs: Sequence[Output], advance: Advance) -> None:
        """Write the pictures to ``outputs``; ``advance`` is told of frames done."""
        with self._pipeline as items:
            for picture, time_s in items:
                with self.times["encode"].taken():
                    for output in outputs:
                        output.write(picture, time_s)
                advance(1)

    def _shrink(self, frame: Frame) -> list[Frame]:
        if frame.number > self._last:  # detection was stopped before
            self.stop()
            return []
        return [Frame(self._maker.shrunk(frame.rgb), frame.number, frame.time_s)]

    def _draw(self, frame: Frame) -> list[tuple[np.ndarray, float]]:
        figures = self._figures.at(frame.number, frame.time_s)
        return [(self._maker.draw(frame.rgb, figures, frame.time_s), frame.time_s)]


def figures_of_clip(lifted: Lifted, size: tuple[int, int], against: Lifted | None = None) -> LiftedFigures:
    """Return the figures of a clip, upright; ``size`` of the source's picture, ``against``: poses by another network."""
    one, *other = upright_poses(lifted, *([] if against is None else [against]))
    return LiftedFigures(one, size, *other)


def upright_poses(lifted: Lifted, *more: Lifted) -> list[Lifted]:
    """Return poses in camera axes as a camera that looks straight ahead would see them, if somebody stands upright.

    ``more`` are turned as the first.
    """
    if lifted.meta["axes"] != CAMERA:
        return [lifted, *more]
    try:
        pitch_deg, _ = estimated_pitch(lifted)
    except DataError:
        return [lifted, *more]
    return [on_floor(each, pitch_deg) for each in (lifted, *more)]
