"""Lift people while they move: keypoints in frame by frame, poses out as soon as they are final."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from poseedge.arrays import AnyArray
from poseedge.errors import DataError
from poseedge.lifter import Lifter
from poseedge.live.layouts import from_coco, from_whole_frame, layout_named, to_coco, to_h36m
from poseedge.live.lift import lift_steps, trunk_and_leg
from poseedge.live.options import LiftOptions, setup
from poseedge.live.person import Posed, Sighting, TrackedPerson, WindowStep
from poseedge.live.tracks import Linker
from poseedge.live.trained import TrainedOn
from poseedge.live.types import Floats
from poseedge.live.unseen.gaps import are_clean, gate, is_clean
from poseedge.live.view import TRUNK_AND_LEG

LENGTHS = 250  # poses that a person's size is told from: five seconds at 50 Hz

TWO_PIXELS = 2.0

_BY_ID = (dict, Mapping)  # the first is much quicker told


class StreamFrame(NamedTuple):
    """A frame of the source whose poses are final."""

    frame: int
    time_s: float
    people: dict[int, Posed]  # by id
    against: dict[int, Posed]  # the same people by another network, where one lifts them too


# By id; or one after another, or as an array ``(P, K, 2 or 3)``, without.
People = Mapping[int, AnyArray] | Sequence[AnyArray] | AnyArray


class PoseStream(Protocol):
    """What takes people's keypoints frame by frame and gives their poses: ``Stream``, or two of them side by side."""

    @property
    def look_ahead(self) -> int:
        """Frames of the network that a pose waits for."""

    @property
    def rate(self) -> float:
        """Frames of the network in a second."""

    def push(self, people: People, time_s: float | None = None, frame: int | None = None) -> list[StreamFrame]:
        """Take the next frame; return those whose poses are final now."""

    def finish(self) -> list[StreamFrame]:
        """Return what is left; the stream may begin anew then, at frame 0."""


class Stream:
    """People's keypoints in, their poses out, ``look_ahead`` frames of the network later.

    Gives what ``poseedge.lift`` gives with the same look-ahead, bit for bit if the network's batch is fixed. Memory does
    not grow. Not for use from several threads at a time.
    """

    def __init__(
        self,
        lifter: Lifter,
        size: tuple[int, int],
        fps: float | None = None,
        layout: str = "coco17",
        trained: TrainedOn = TrainedOn(),  # noqa: B008  # frozen
        **choices: Any,
    ) -> None:
        """``size``: width and height of the picture in pixels; ``fps``: may be left out if ``push`` is given times.

        ``choices``: see ``LiftOptions``; ``look_ahead`` among them. ``height_m`` scales a person by the poses of the last
        seconds, where ``lift`` knows all of them.
        """
        options = LiftOptions(**choices)
        self._lifter, self._flip, self._fps, self._layout = lifter, options.flip, fps, layout
        known = layout_named(layout)
        self._shape, self._is_coco = (known.joints, 3), known.coco is not None
        self._plain_shape = known.joints, 2
        self._order = None if known.coco in (None, tuple(range(known.joints))) else list(known.coco or ())
        self._trunk, self._height_m = options.trunk or trained.trunk, options.height_m
        self._setup = setup(options, lifter.spec, trained, size, fps)
        self._people: dict[int, TrackedPerson] = {}
        self._lengths: dict[int, deque[float]] = {}  # of trunk and leg in the last poses, where a height is given
        self._open: dict[int, StreamFrame] = {}  # frames that somebody's pose is waited for, in order
        self._linker: Linker | None = None
        self._first: int | None = None  # number of the first frame
        self._frame, self._time = -1, -np.inf  # of the newest

    @property
    def look_ahead(self) -> int:
        """Frames of the network that a pose waits for."""
        return self._setup.plan.look_ahead

    @property
    def rate(self) -> float:
        """Frames of the network in a second."""
        return self._setup.rate

    def push(self, people: People, time_s: float | None = None, frame: int | None = None) -> list[StreamFrame]:
        """Take the next frame; return those whose poses are final now, in order, none of them twice.

        ``people``: keypoints ``(K, 2)`` in pixels or ``(K, 3)`` with scores; those without ids are linked from frame to frame.
        ``frame`` counts on by itself; without ``time_s`` it gives the time. Raises ``DataError`` for another shape, and if frame
        or time do not increase.
        """
        self._begin(time_s, frame)
        try:
            ids, keypoints = self._taken(people)
        except DataError:
            del self._open[self._frame]
            raise
        steps: list[WindowStep] = []
        for place, number in enumerate(ids):
            person = self._people.get(number) or self._person(number)
            px, scores, clean = self._joints(person, keypoints[place])
            steps += person.see(Sighting(self._frame, self._time, px, scores, clean))
        if len(ids) < len(self._people):
            steps += self._missed(ids)
        return self._settled(steps)

    def finish(self) -> list[StreamFrame]:
        """Return what is left; the stream may begin anew then, at frame 0."""
        given = self._settled([step for person in self._people.values() for step in person.finish()])
        self._people.clear()
        self._lengths.clear()
        self._linker, self._first, self._frame, self._time = None, None, -1, -np.inf
        return given

    def _person(self, number: int) -> TrackedPerson:
        person = self._people[number] = TrackedPerson(self._setup, number)
        return person

    def _missed(self, ids: list[int]) -> list[WindowStep]:
        """Return what is to be lifted of people who are not among those in this frame."""
        steps: list[WindowStep] = []
        for number in [number for number in self._people if number not in ids]:
            steps += self._people[number].miss(self._frame, self._time)
            if self._people[number].is_forgotten(self._time):
                del self._people[number]
                self._lengths.pop(number, None)
        return steps

    def _joints(self, person: TrackedPerson, keypoints: Floats) -> tuple[Floats, Floats, bool]:
        """Return Human3.6M's joints of a person's keypoints ``(K, 3)``, their scores, and whether all were seen."""
        if is_clean(keypoints):
            if not self._is_coco:
                return np.ascontiguousarray(keypoints[:, :2]), keypoints[:, 2], True
            whole = keypoints if self._order is None else keypoints[self._order]
            share = person.face.complete(whole, self._time, True)
            if share == 1:
                return *from_whole_frame(whole, self._trunk), True
            coco, given = whole[None, :, :2], whole[None, :, 2]
        else:
            px, scores = gate(keypoints[None, :, :2], keypoints[None, :, 2]), keypoints[None, :, 2]
            if not self._is_coco:
                return alone(*to_h36m(px, scores, self._layout))
            coco, given = to_coco(px, scores, self._layout)
            share = person.face.complete(coco[0], self._time, bool(are_clean(coco, given)[0]))
        return alone(*from_coco(coco, given, self._trunk, shares=np.array([share], np.float32)))

    def _begin(self, time_s: float | None, frame: int | None) -> None:
        """Settle number and time of the new frame."""
        number = self._frame + 1 if frame is None else frame
        first = number if self._first is None else self._first
        if time_s is None:
            if self._fps is None and self._lifter.spec.frames > 1:
                raise DataError(
                    "when was this frame? Neither time nor frame rate is given", "say --fps 30, or 'time' in each line"
                )
            time_s = (number - first) / (self._fps or self._setup.rate)
        if self._first is not None and (number <= self._frame or not time_s > self._time):
            raise DataError(
                f"frame {number} at {time_s:g} s comes after frame {self._frame} at {self._time:g} s", "frames and times increase"
            )
        if not math.isfinite(time_s):
            raise DataError(f"frame {number}: time {time_s} s", "times are seconds")
        self._first, self._frame, self._time = first, number, float(time_s)
        self._open[number] = StreamFrame(number, self._time, {}, {})

    def _taken(self, people: People) -> tuple[list[int], Floats]:
        """Return ids, and keypoints with scores ``(P, K, 3)``."""
        ids, rows = (list(people), people.values()) if isinstance(people, _BY_ID) else (None, people)
        keypoints = np.empty((len(rows), self._shape[0], 3), np.float32)
        for place, given in enumerate(rows):
            row = np.asarray(given)
            if row.shape == self._shape:
                keypoints[place] = row
            elif row.shape == self._plain_shape:
                keypoints[place, :, :2], keypoints[place, :, 2] = row, 1
            else:
                wanted = f"{self._plain_shape} or {self._shape} of {self._layout}"
                raise DataError(f"frame {self._frame}: expected keypoints {wanted}, found {row.shape}")
        if not (len(rows) and abs(keypoints.item(0)) > TWO_PIXELS):  # else pixels for sure, and no time lost
            check_pixels(keypoints[..., :2], self._frame)
        if ids is not None:
            return ids, keypoints
        if self._linker is None:
            self._linker = Linker(max(1, round(self._fps or 30)))
        return self._linker.push(self._frame, keypoints[..., :2]), keypoints

    def _settled(self, steps: list[WindowStep]) -> list[StreamFrame]:
        """Lift the windows of ``steps``; return the frames for which nobody's pose is waited for any more."""
        for step, poses in zip(steps, lift_steps(self._lifter, steps, self._flip), strict=True):
            number = step.span.number
            for posed in step.span.settle(step, poses):
                sized = posed if self._height_m is None else self._sized(number, posed, self._height_m)
                self._open[posed.frame].people[number] = sized
        open_from = math.inf
        for person in self._people.values():
            if (waiting := person.waiting) < open_from:
                open_from = waiting
        given = []
        while self._open and (frame := next(iter(self._open))) < open_from:  # in order
            given.append(self._open.pop(frame))
        return given

    def _sized(self, number: int, posed: Posed, height_m: float) -> Posed:
        """Return a pose as tall as the person is said to be: by the median length of the last poses."""
        lengths = self._lengths.setdefault(number, deque(maxlen=LENGTHS))
        lengths.append(float(trunk_and_leg(posed.pose_m[None])[0]))
        share = height_m * TRUNK_AND_LEG / float(np.median(lengths))
        return posed._replace(pose_m=posed.pose_m * np.float32(share))


def alone(joints: Floats, scores: Floats) -> tuple[Floats, Floats, bool]:
    """Return joints ``(1, 17, 2)`` and scores ``(1, 17)`` without their first axis, and whether all joints were seen."""
    return joints[0], scores[0], bool(are_clean(joints, scores)[0])


def check_pixels(keypoints: Floats, frame: int) -> None:
    """Raise ``DataError`` if people ``(P, K, 2)`` are no larger than two pixels: their coordinates are normalized."""
    known = keypoints[np.isfinite(keypoints)]
    if known.size and np.abs(known).max() <= TWO_PIXELS and (low := known.min()) < (high := known.max()):
        way = "x = u W, y = v H" if low >= 0 else "x = (u + 1) W / 2, y = (v + H / W) W / 2"
        raise DataError(
            f"frame {frame}: coordinates from {low:.3g} to {high:.3g}: they are normalized, and pixels are wanted",
            f"of coordinates from {'0' if low >= 0 else '-1'} to 1: {way}",
        )
