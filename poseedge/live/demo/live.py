"""A camera or a stream while it runs: each frame is shown as soon as its pose is final, and how long that took."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from poseedge.lifter import Lifter
from poseedge.live.demo.against import about
from poseedge.live.demo.pipeline import Pipeline, PipelineStep, Times
from poseedge.live.detectors.person import Detector, Person, Picture
from poseedge.live.drawing import Arrangement, Figure, PictureMaker, faint_joints
from poseedge.live.person import Posed
from poseedge.live.stream import PoseStream, StreamFrame
from poseedge.live.types import Lifted
from poseedge.live.video.output import Output
from poseedge.live.video.source import Frame, Source
from poseedge.live.world import CAMERA
from poseedge.skeleton import NUM_JOINTS

_Y_UP = np.array([1, -1, -1], np.float32)  # from the camera's axes
_RECENT_S = 2.0  # over which frames per second and delay are shown


@dataclass(frozen=True)
class Shown:
    """A frame whose poses are final."""

    rgb: Picture  # shrunk; nothing where no pictures are wanted
    number: int
    time_s: float
    captured_s: float
    posed_s: float  # when the poses were there
    people: dict[int, Posed]
    against: dict[int, Posed]


class Viewer(Protocol):
    """Is shown each frame as soon as its poses are final; must not wait for anything."""

    def show(self, frame: StreamFrame, delay_s: float) -> None:
        """Take a frame, captured so long ago."""


class Show:
    """Runs a live source through detector, stream and drawing; ``stop`` ends it."""

    def __init__(
        self,
        source: Source,
        detector: Detector,
        stream: PoseStream,
        maker: PictureMaker | None,
        seconds: float | None,
        viewer: Viewer | None = None,
    ) -> None:
        """``maker``: None where no pictures are wanted; ``seconds``: stop by itself after so long."""
        self._detector, self._stream, self._maker, self._seconds = detector, stream, maker, seconds
        self._viewer = viewer
        self._waiting: dict[int, Frame] = {}
        self._stage = Arrangement(source.size)
        self._recent: deque[tuple[float, float]] = deque()
        steps = [
            PipelineStep("detect", self._detect),
            PipelineStep("lift", self._lift, lambda: self._shown(self._stream.finish())),
        ]
        if maker is not None:
            steps.append(PipelineStep("draw", partial(self._draw, maker)))
        self._pipeline = Pipeline(source, steps, live=True)
        self.times: dict[str, Times] = self._pipeline.times
        if maker is not None:
            self.times["encode"] = Times()
        self.delays_s: list[float] = []  # from capture to pose, of every frame
        self.frames: list[StreamFrame] = []

    def stop(self) -> None:
        """Take no more frames."""
        self._pipeline.stop()

    @property
    def dropped(self) -> int:
        """Frames that the camera gave and nobody saw."""
        return self._pipeline.dropped

    def run(self, outputs: Sequence[Output], advance: Callable[[int], None]) -> None:
        """Write every picture to ``outputs``; raises what the source raises when it breaks off, after the last picture."""
        with self._pipeline as items:
            for item in items:
                if self._maker is not None:
                    picture, shown = item
                    with self.times["encode"].taken():
                        for output in outputs:
                            output.write(picture, shown.time_s)
                advance(1)

    def _detect(self, frame: Frame) -> Iterator[tuple[Frame, tuple[Person, ...]]]:
        if self._seconds is not None and frame.time_s > self._seconds:
            self.stop()
            return
        people = self._detector.detect(frame.rgb)
        kept = frame.rgb[:0] if self._maker is None else self._maker.shrunk(frame.rgb)
        yield Frame(kept, frame.number, frame.time_s, frame.captured_s), people

    def _lift(self, item: tuple[Frame, tuple[Person, ...]]) -> list[Shown]:
        frame, people = item
        self._waiting[frame.number] = frame
        joints = [np.concatenate([person.keypoints, person.scores[:, None]], axis=1) for person in people]
        return self._shown(self._stream.push(joints, frame.time_s, frame.number))

    def _shown(self, frames: list[StreamFrame]) -> list[Shown]:
        now = time.monotonic()
        shown = []
        for final in frames:
            frame = self._waiting.pop(final.frame)
            captured = now if frame.captured_s is None else frame.captured_s
            self.delays_s.append(now - captured)
            self.frames.append(final)
            if self._viewer is not None:
                self._viewer.show(final, self.delays_s[-1])
            shown.append(Shown(frame.rgb, frame.number, frame.time_s, captured, now, final.people, final.against))
        return shown

    def _draw(self, maker: PictureMaker, shown: Shown) -> list[tuple[Picture, Shown]]:
        figures = self._stage.put(figures_of(shown.people, shown.against), shown.time_s)
        picture = maker.draw(shown.rgb, figures, shown.time_s, self._status(shown))
        return [(picture, shown)]

    def _status(self, shown: Shown) -> str:
        """Return frames per second and mean delay of the last seconds."""
        self._recent.append((shown.posed_s, shown.posed_s - shown.captured_s))
        while self._recent[0][0] < shown.posed_s - _RECENT_S:
            self._recent.popleft()
        over = shown.posed_s - self._recent[0][0]
        delay_ms = 1000 * sum(delay for _, delay in self._recent) / len(self._recent)
        rate = f"{(len(self._recent) - 1) / over:.0f} fps, " if over > 0 else ""
        return f"{rate}delay {delay_ms:.0f} ms"


def figures_of(people: Mapping[int, Posed], against: Mapping[int, Posed]) -> list[Figure]:
    """Return people of a stream as they are drawn, y up; ``against``: the same by another network."""
    return [
        Figure(
            number,
            posed.pose_m * _Y_UP,
            posed.keypoints_px,
            faint_joints(posed.filled, posed.scores),
            against[number].pose_m * _Y_UP if number in against else None,
        )
        for number, posed in people.items()
    ]


def gathered(frames: Sequence[StreamFrame], meta: dict[str, Any]) -> Lifted:
    """Return the poses that a stream gave as those of one clip; ``meta`` says how they came about."""
    ids = sorted({number for frame in frames for number in frame.people})
    shape = len(ids), len(frames), NUM_JOINTS
    lifted = Lifted(
        poses_m=np.full((*shape, 3), np.nan, np.float32),
        frames=np.array([frame.frame for frame in frames], np.int64),
        times_s=np.array([frame.time_s for frame in frames]),
        ids=np.array(ids, np.int64),
        seen=np.zeros(shape[:2], np.bool_),
        filled=np.zeros(shape, np.bool_),
        keypoints_px=np.full((*shape, 2), np.nan, np.float32),
        scores=np.zeros(shape, np.float32),
        meta={**meta, "axes": CAMERA},
    )
    for column, frame in enumerate(frames):
        for number, posed in frame.people.items():
            at = ids.index(number), column
            lifted.poses_m[at], lifted.seen[at], lifted.filled[at] = posed.pose_m, True, posed.filled
            lifted.keypoints_px[at], lifted.scores[at] = posed.keypoints_px, posed.scores
    return lifted


def live_meta(
    lifter: Lifter, stream: PoseStream, source: str, layout: str, fps: float | None, size: tuple[int, int]
) -> dict[str, Any]:
    """Return how the poses of a live source came about."""
    return {
        "source": source,
        "layout": layout,
        **about(lifter),
        "look_ahead": stream.look_ahead,
        "fps": fps,
        "size": list(size),
    }
