"""One person's way from keypoints to poses, frame by frame: the part that lifting a file and lifting a stream share."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from poseedge.caches import CachedLifter, Memory
from poseedge.data.windows import mirror_joints, mirror_keypoints
from poseedge.live.clock import EPSILON_S, FrameGrid
from poseedge.live.overlap import WindowPlan
from poseedge.live.smoothing import OneEuro
from poseedge.live.types import Flags, Floats
from poseedge.live.unseen.face import Face
from poseedge.live.unseen.first import Correction
from poseedge.live.unseen.gaps import HOLD_S, Continuity, Faults
from poseedge.live.unseen.limbs import lacking
from poseedge.live.view import PersonView, PlainView, Sights, Turn, points_of
from poseedge.overlap import Mean
from poseedge.skeleton import NUM_JOINTS


@dataclass(frozen=True)
class RunSetup:
    """What all persons of a run share."""

    plan: WindowPlan
    view: PersonView | PlainView
    rate: float  # of the network, frames per second
    channels: int  # per keypoint, of the network
    interval_s: float | None = None  # from frame to frame of the source, if it is known
    smoother: Callable[[], OneEuro] | None = None


class Posed(NamedTuple):
    """The pose of one person in one frame of the source."""

    frame: int
    time_s: float
    pose_m: Floats  # (17, 3) root-relative, camera axes
    filled: Flags  # (17,)
    keypoints_px: Floats  # (17, 2)
    scores: Floats  # (17,)


class Sighting(NamedTuple):
    """A frame of the source, with a person's joints as believed: NaN where missing."""

    frame: int
    time_s: float
    px: Floats  # (17, 2); not to be changed afterwards
    scores: Floats  # (17,)
    is_clean: bool = False  # all joints were seen, none is made of what was not

    def corrected(self, correction: Correction) -> Sighting:
        """Return the sighting with joints in their right order, and without wrong ones."""
        order, wrong = correction
        px = np.where(wrong[:, None], np.float32(np.nan), self.px[order])
        return self._replace(px=px, scores=self.scores[order], is_clean=self.is_clean and not wrong.any())


class WindowStep(NamedTuple):
    """A window to lift, if one is due, and the sightings of ``span`` whose poses are final once it is lifted."""

    span: Span
    window: Floats | None  # (F, 17, C)
    turn: Turn | None
    first: int  # frame of the window's row 0
    last: int  # newest frame that it knows
    final: int  # frames up to this one are final
    keypoints: Floats  # (n, 17, 2) of the newly final frames and the one before, where a sighting is not clean
    due: list[tuple[float, Sighting]]  # with their places on the grid
    corrections: int = 0  # of the span so far


class Span:
    """A person from one sighting to the last before a long gap, on the network's frames."""

    def __init__(self, setup: RunSetup, number: int, first: Sighting) -> None:
        self.number = number  # of the person
        self._setup, self._mean = setup, Mean(setup.plan.frames, setup.plan.shown, setup.plan.weights, setup.plan.blocks)
        self._grid = FrameGrid(setup.rate, setup.plan.frames, first.time_s, first.px, first.scores, setup.interval_s)
        self._waiting: deque[tuple[float, Sighting]] = deque([(0.0, first)])
        self._stepped = self._final = -1  # newest frame for which windows were run, and that is final
        self._smooth = setup.smoother() if setup.smoother else None
        self._before = _NONE  # poses of the last final frames
        self._remembered: Remembered | None = None
        self._corrections = 0
        self.held = np.isnan(first.px[:, 0]).astype(np.int64)  # frames in which a limb is held that no gap bridges, by joint

    def remembered(self, lifter: CachedLifter, flip: bool, corrections: int) -> Remembered:
        """Return what ``lifter`` knows of this span; with another span, and after a correction, it begins anew."""
        if self._remembered is None or corrections != self._remembered.corrections:
            self._remembered = Remembered(lifter, flip, corrections)
        return self._remembered

    def lost_s(self, time: float) -> float | None:
        """Return when the person was lost, if too much of it will have been missing for too long at ``time``."""
        return self._grid.lost_s(time)

    def note_held(self, missing: Flags, time: float) -> None:
        """Count joints ``(17,)`` that are ``missing`` for too long to be bridged, or were from the first and are not late."""
        self.held += missing & self._grid.unseen(time)
        self.held[self._grid.late(~missing, time)] = 0

    @property
    def waiting(self) -> float:
        """The first frame whose pose is not final yet; infinity if there is none."""
        return self._waiting[0][1].frame if self._waiting else math.inf

    def start(self) -> list[WindowStep]:
        """Return the steps of the first sighting."""
        return self._advance(0, 0)

    def see(self, sighting: Sighting, points: list[complex] | None = None) -> list[WindowStep]:
        """Take the next sighting; joints may be missing, all of them too. ``points``: the joints once more, if all were seen."""
        if points or not np.isnan(sighting.px).all():
            place = self._grid.see(sighting.time_s, sighting.px, sighting.scores, points)
        else:
            place = self._grid.hold(sighting.time_s)
        self._waiting.append((place, sighting))
        newest = self._grid.newest
        return self._advance(newest, newest)

    def correct(self, correction: Correction, px: Floats) -> None:
        """Take back what was wrong in all frames so far; wrong joints are where they are in ``px (17, 2)``."""
        self._grid.correct(correction, px)
        self._waiting = deque((place, sighting.corrected(correction)) for place, sighting in self._waiting)
        self._corrections += 1

    def end(self, last_s: float) -> list[WindowStep]:
        """Return the steps that finish the frames up to ``last_s``; sightings after it that are still waiting get no pose."""
        while self._waiting and self._waiting[-1][1].time_s > last_s + EPSILON_S:
            self._waiting.pop()
        last = math.ceil(self._grid.place(last_s))
        self._grid.grow(last)
        plan = self._setup.plan
        if not plan.blocks:
            return self._advance(last + plan.look_ahead, last)
        return [self._step(max(last + 1 - plan.frames, 0), last, last)] if last > self._final else []

    def settle(self, step: WindowStep, poses: Floats | None) -> list[Posed]:
        """Take the poses of a step's window; return those of the sightings that are final now, in order."""
        if poses is not None:
            if step.turn is not None:
                poses = poses.reshape(-1, 3).dot(step.turn).reshape(poses.shape)  # of small arrays quicker than @
            self._mean.add(poses, step.first, step.last)
        fresh = self._mean.take(step.final)
        if not len(fresh):
            return []
        due, zero = step.due, step.final + 1 - len(fresh)
        base = max(zero - 1, 0)
        if due and due[0][0] < zero:
            fresh, zero = np.concatenate([self._before[-1:], fresh]), base
        self._before, found = fresh, []
        for place, sighting in due:
            found.append(self._posed(sighting, between(fresh, place - zero), step.keypoints, place - base))
        return found

    def _posed(self, sighting: Sighting, pose: Floats, keypoints: Floats, place: float) -> Posed:
        """Return the pose of a sighting; ``place``: of what was filled in, among ``keypoints``."""
        if self._smooth:
            pose = self._smooth(pose, sighting.time_s)
        px, scores = sighting.px, sighting.scores
        if sighting.is_clean:
            return Posed(sighting.frame, sighting.time_s, pose, np.zeros(len(px), np.bool_), px, scores)
        filled = np.isnan(px[:, 0]) | (scores == 0)
        if filled.any():
            px = np.where(filled[:, None], between(keypoints, place), px)
            scores = np.where(filled, np.float32(0), scores)
        return Posed(sighting.frame, sighting.time_s, pose, filled, px, scores)

    def _advance(self, newest: int, last: int) -> list[WindowStep]:
        """Return the steps at which frames up to ``newest`` are; those after ``last`` do not exist, and repeat it."""
        plan, steps = self._setup.plan, []
        for frame in range(self._stepped + 1, newest + 1):
            self._stepped = frame
            known, final = (frame, frame - plan.look_ahead) if frame <= last else (last, min(frame - plan.look_ahead, last))
            if plan.due(frame, last):
                steps.append(self._step(frame - plan.newest_row, known, frame if plan.blocks else final))
            elif final > self._final and not plan.blocks:
                steps.append(WindowStep(self, None, None, 0, 0, *self._finish(final)))
        return steps

    def _step(self, first: int, known: int, final: int) -> WindowStep:
        """Return a step whose window begins at frame ``first`` and knows frames up to ``known``."""
        setup = self._setup
        sights, missing = self._grid.sights(first, known), first + setup.plan.frames - 1 - known
        screen, turn = setup.view.see(padded(sights, missing) if missing else sights)
        if setup.channels == 3:
            scores = self._grid.rows(first, known)[1]
            scores = np.concatenate([scores, np.repeat(scores[-1:], missing, axis=0)])
            screen = np.concatenate([screen, scores[..., None]], axis=-1)
        return WindowStep(self, screen, turn, first, known, *self._finish(final), self._corrections)

    def _finish(self, final: int) -> tuple[int, Floats, list[tuple[float, Sighting]]]:
        """Mark frames up to ``final`` as such; return the last of them, their keypoints, and the sightings that are due."""
        before, waiting, due, is_clean = self._final, self._waiting, [], True
        final = self._final = max(final, before)
        while waiting and waiting[0][0] <= final:
            due.append(waiting.popleft())
            is_clean = is_clean and due[-1][1].is_clean
        return final, _NONE if is_clean else self._grid.rows(max(before, 0), final)[0].copy(), due


_NONE = np.empty((0, 0, 2), np.float32)


def padded(sights: Sights, more: int) -> Sights:
    """Return a window with ``more`` copies of its last frame behind it."""
    return Sights(
        np.concatenate([sights.points, np.tile(sights.points[:, -NUM_JOINTS:], more)], axis=1),
        np.concatenate([sights.facts, np.repeat(sights.facts[:, -1:], more, axis=1)], axis=1),
    )


def between(rows: Floats, place: float) -> Floats:
    """Return what lies at a fractional ``place`` of ``rows``."""
    index = math.floor(place)
    if index == place:
        return rows[index].copy()
    share = np.float32(place - index)
    return np.asarray((1 - share) * rows[index] + share * rows[index + 1])


class Remembered:
    """What a cached lifter knows of a span.

    Frames stay as they were when they came in. So a gap that closes later, and a view that has moved on, change those to come
    and not, as with windows, those before.
    """

    def __init__(self, lifter: CachedLifter, flip: bool, corrections: int = 0) -> None:
        self.corrections = corrections  # of the span, when this began
        self._plain, self._mirrored = lifter.begin(), lifter.begin() if flip else None
        self._frames = lifter.spec.frames
        self._first: int | None = None  # frame of the last window's row 0

    def lift(self, window: Floats, first: int) -> Floats:
        """Return the pose ``(1, 17, 3)`` of a window ``(T, 17, C)`` whose row 0 is frame ``first``, later than the last one's."""
        if self._first is None:  # copies of the first row are what a memory begins with
            moves = np.flatnonzero((window != window[0]).any(axis=(1, 2)))
            rows = window[moves[0] - 1 if len(moves) else -1 :]
        else:
            rows = window[-min(first - self._first, self._frames) :]
        self._first = first
        pose = pushed(self._plain, rows)
        if self._mirrored is not None:
            mirrored = mirror_joints(pushed(self._mirrored, mirror_keypoints(rows)))
            pose = np.asarray((pose + mirrored) / 2, np.float32)
        return pose


def pushed(memory: Memory, rows: Floats) -> Floats:
    """Return the pose ``(1, 17, 3)`` behind the last of ``rows``."""
    return [memory.push(row) for row in rows][-1][None]


class TrackedPerson:
    """One person of a run: a span after another, each as long as nothing is missing for too long."""

    def __init__(self, setup: RunSetup, number: int) -> None:
        self._setup, self._number = setup, number
        self.faults = Faults()
        self._continuity = Continuity(self.faults)
        self.face = Face()
        self._span: Span | None = None
        self._newest_s = self._seen_s = -math.inf  # when a joint was believed, and when the person was there at all

    @property
    def idle(self) -> bool:
        """Whether no pose is waited for."""
        return self._span is None

    def is_forgotten(self, time_s: float) -> bool:
        """Say whether nothing is known of this person any more."""
        return self._span is None and time_s - self._seen_s > HOLD_S

    @property
    def waiting(self) -> float:
        """The first frame whose pose is not final yet; infinity if there is none."""
        return self._span.waiting if self._span else math.inf

    def see(self, sighting: Sighting) -> list[WindowStep]:
        """Take joints ``(17, 2)`` in pixels, NaN where missing; return what is to be lifted now."""
        self._seen_s = sighting.time_s
        if sighting.is_clean and self._span is not None:
            points = points_of(sighting.px)
            if self._continuity.is_usual(sighting.px, points, sighting.time_s):
                self._newest_s = sighting.time_s  # all was seen a moment ago: nothing can be missing for too long
                return self._span.see(sighting, points)
        steps = self.close(sighting.time_s)
        px, stranger = self._continuity.check(sighting.px, sighting.time_s)
        if stranger:
            self.faults.ended += 1
            steps += self._end(self._newest_s)
            px, _ = self._continuity.check(sighting.px, sighting.time_s)
        missing = np.isnan(px[:, 0])
        if px is not sighting.px:
            sighting = sighting._replace(px=px, is_clean=sighting.is_clean and not missing.any())
        if not missing.all():
            self._newest_s = sighting.time_s
        if self._span is not None:
            if self._continuity.correction is not None:
                self._span.correct(self._continuity.correction, px)
            self._span.note_held(missing, sighting.time_s)
            return steps + self._span.see(sighting)
        forbidding = lacking(missing)
        if forbidding.any():
            self.faults.lacking += forbidding
            return steps
        self._span = Span(self._setup, self._number, sighting)
        return steps + self._span.start()

    def miss(self, frame: int, time_s: float) -> list[WindowStep]:
        """Take a frame in which nobody saw this person."""
        steps = self.close(time_s)
        if self._span is None:
            self._continuity.begin()
            return steps
        nothing = np.full((len(self.faults.lacking), 2), np.nan, np.float32)
        return steps + self._span.see(Sighting(frame, time_s, nothing, np.zeros(len(nothing), np.float32)))

    def close(self, time_s: float) -> list[WindowStep]:
        """End the span if too much of the person is missing for too long by ``time_s``."""
        lost = self._span.lost_s(time_s) if self._span else None
        if lost is None:
            return []
        self.faults.ended += 1
        return self._end(lost)

    def finish(self) -> list[WindowStep]:
        """Return the steps that finish everything."""
        return self._end(self._newest_s)

    def _end(self, last_s: float) -> list[WindowStep]:
        self._continuity.begin()
        if self._span is None:
            return []
        self.faults.held += self._span.held
        steps, self._span = self._span.end(last_s), None
        return steps
