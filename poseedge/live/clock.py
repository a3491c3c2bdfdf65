"""A person's keypoints at the network's own frame rate, whatever the source's, and gaps bridged on the way."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from poseedge.live.types import Flags, Floats
from poseedge.live.unseen.first import Correction
from poseedge.live.unseen.gaps import HOLD_S, INTERPOLATE_S
from poseedge.live.unseen.limbs import ANCHORS, LIMBS, completed, lost_s
from poseedge.live.view import Sights, facts_at, facts_of
from poseedge.skeleton import NUM_JOINTS

EPSILON_S = 1e-6
_ON_THE_GRID = 1e-4  # of a frame: two times this near are one
_IS_LIMB = np.isin(np.arange(NUM_JOINTS), LIMBS)
_ANCHOR_OF = dict(zip(LIMBS.tolist(), ANCHORS.tolist(), strict=True))


class FrameGrid:
    """Rows of keypoints at ``rate`` frames per second, counted from the person's first sighting, which is row 0.

    A gap lasts from the first frame without a joint to the one that shows it again. Up to ``INTERPOLATE_S`` a straight line
    bridges it; in a longer one the joint is held, and the line covers the last ``INTERPOLATE_S``. A sighting therefore
    rewrites rows before it. Arms and legs are held beside the shoulder or hip, and their lines are drawn from there. One that is
    first seen within ``INTERPOLATE_S`` had that place from the beginning. Before row 0 stand copies of it. Holds at least the
    last ``reach`` rows, and never grows.
    """

    def __init__(self, rate: float, reach: int, time: float, px: Floats, scores: Floats, interval_s: float | None = None) -> None:
        """``px``: where a limb is missing, NaN; ``interval_s``: from frame to frame of the source, None: told from the frames."""
        self.rate, self.origin_s = rate, time
        self.newest = 0  # index of the last row
        reach = self._kept = max(reach, math.ceil(2 * INTERPOLATE_S * rate) + 2)
        room = 2 * (reach + math.ceil((HOLD_S + INTERPOLATE_S) * rate) + 2)
        self._points = np.ones((3, room, NUM_JOINTS), np.float32)  # (u, v, 1)
        self._flat_points = self._points.reshape(3, -1)
        self._px = self._points[:2].transpose(1, 2, 0)  # (room, 17, 2) the same memory
        self._scores = np.empty((room, NUM_JOINTS), np.float32)
        self._facts = np.empty((8, room), np.float32)
        self._held = completed(px)  # where each joint is taken to be until it is seen again
        self._last_scores = scores
        self._px[:reach], self._scores[:reach] = self._held, scores
        self._note(0, reach)
        self._end = reach  # row ``newest`` lies before it
        missing = np.isnan(px[:, 0])
        self._last_s = np.where(missing, -math.inf, time)
        self._whole_s = math.nan if missing.any() else time  # when all joints were last seen, if no frame came since
        self._frame_s, self._interval_s = time, interval_s
        self._longest_s = 1.5 * min(INTERPOLATE_S if interval_s is None else interval_s, INTERPOLATE_S)  # between frames: no gap

    def place(self, time: float) -> float:
        """Return the row at ``time``, in fractions; whole where a row lies at that time."""
        place = (time - self.origin_s) * self.rate
        near = round(place)
        return float(near) if abs(place - near) <= _ON_THE_GRID else place

    def lost_s(self, time: float) -> float | None:
        """Return when the track was lost, if too much of the person has been missing for longer than a gap may last."""
        too_old = time - self._interval(time) - HOLD_S - EPSILON_S
        if self._whole_s >= too_old:
            return None
        self._write_down()
        return lost_s(self._last_s, too_old)

    def unseen(self, time: float) -> Flags:
        """Return which joints ``(17,)`` have been missing for longer than a gap may last."""
        self._write_down()
        return np.asarray(self._last_s < time - self._interval(time) - HOLD_S - EPSILON_S)

    def late(self, known: Flags, time: float) -> Flags:
        """Return which of the ``known (17,)`` are seen for the first time, so soon that they were there all the time."""
        return known & (self._last_s == -math.inf) & (time - self.origin_s <= INTERPOLATE_S + EPSILON_S)

    def hold(self, time: float) -> float:
        """Add the rows up to ``time``, in which nothing was seen; return the place of that time."""
        self._write_down()
        place = self.place(time)
        self.grow(math.floor(place))
        self._frame_s, self._whole_s = time, math.nan
        return place

    def see(self, time: float, px: Floats, scores: Floats, points: list[complex] | None = None) -> float:
        """Add the rows up to ``time``, when joints ``(17, 2)`` were seen; return the place of that time.

        NaN where a joint was not seen; ``points``: ``points_of`` the joints, if all were. The joints must not be changed
        afterwards.
        """
        before, goes_on = self.newest, self._whole_s == self._frame_s and time - self._frame_s <= self._longest_s
        is_next = abs((time - self.origin_s) * self.rate - before - 1) <= _ON_THE_GRID
        if points and goes_on and is_next and self._end < len(self._px):  # the same as below, in half the time
            row, self._end, self.newest = self._end, self._end + 1, before + 1
            self._px[row], self._scores[row], self._facts[:, row] = px, scores, facts_at(points)
            self._held, self._last_scores, self._frame_s, self._whole_s = px, scores, time, time
            return before + 1
        place, is_whole = self.place(time), not np.isnan(px[:, 0]).any()
        if is_whole and goes_on:
            self._go_on(place, before, time, px, scores)
        else:
            self._write_down()
            self.grow(math.floor(place))
            self._mend(place, before, time, px, scores, ~np.isnan(px[:, 0]))
        self._frame_s, self._whole_s = time, time if is_whole else math.nan
        return place

    def correct(self, correction: Correction, px: Floats) -> None:
        """Exchange joints in all rows so far, and put wrong ones where they are in ``px (17, 2)``."""
        order = correction.order
        self._write_down()
        self._px[: self._end], self._scores[: self._end] = self._px[: self._end, order], self._scores[: self._end, order]
        self._held, self._last_scores, self._last_s = self._held[order], self._last_scores[order], self._last_s[order]
        self._put(correction.wrong, px)

    def _put(self, joints: Flags, px: Floats) -> None:
        """Put ``joints`` where they are in ``px (17, 2)`` in all rows so far, limbs beside shoulder and hip."""
        rows, now = self._px[: self._end], np.where(np.isnan(px), self._held, px)
        trunk, limbs = joints & ~_IS_LIMB, joints[LIMBS]
        rows[:, trunk] = px[trunk]
        rows[:, LIMBS[limbs]] = rows[:, ANCHORS[limbs]] + (now[LIMBS[limbs]] - now[ANCHORS[limbs]])
        self._scores[: self._end, joints] = 0
        self._held = np.where(joints[:, None], rows[-1], self._held)
        self._note(0, self._end)

    def _write_down(self) -> None:
        """Note by joint when it was last seen, which is not done where all are."""
        if self._whole_s == self._frame_s:
            self._last_s[:] = self._whole_s

    def rows(self, first: int, last: int) -> tuple[Floats, Floats]:
        """Return views of the keypoints ``(n, 17, 2)`` and scores ``(n, 17)`` of rows ``first`` to ``last``, both included."""
        start, stop = self._end - 1 - self.newest + first, self._end - self.newest + last
        return self._px[start:stop], self._scores[start:stop]

    def sights(self, first: int, last: int) -> Sights:
        """Return rows ``first`` to ``last``, both included, as a window: views that the next sighting may change."""
        begin = self._end - 1 - self.newest
        start, stop = begin + first, begin + last + 1
        return Sights(self._flat_points[:, start * NUM_JOINTS : stop * NUM_JOINTS], self._facts[:, start:stop])

    def grow(self, newest: int) -> None:
        """Add rows up to ``newest``: copies of where the joints are held."""
        more = newest - self.newest
        if more <= 0:
            return
        if self._end + more > len(self._px):
            kept, begin = slice(self._end - self._kept, self._end), slice(self._kept)
            self._px[begin], self._scores[begin], self._facts[:, begin] = self._px[kept], self._scores[kept], self._facts[:, kept]
            self._end = self._kept
        added = slice(self._end, self._end + more)
        self._px[added], self._scores[added] = self._held, 0
        self._note(self._end, self._end + more)
        self._end += more
        self.newest = newest

    def _note(self, start: int, stop: int) -> None:
        """Write down what is known of rows that were written."""
        for row in range(start, stop):
            self._facts[:, row] = facts_of(self._px[row])

    def _interval(self, time: float) -> float:
        """Return the time that one frame of the source stands for; a longer one is a gap by itself."""
        return min(time - self._frame_s if self._interval_s is None else self._interval_s, INTERPOLATE_S)

    def _is_gap(self, last: float, time: float) -> bool:
        return last < self._frame_s or time - last > self._longest_s

    def _go_on(self, place: float, before: int, time: float, px: Floats, scores: Floats) -> None:
        """Write the rows since the frame before, in which all joints were seen as they are now."""
        self.grow(math.floor(place))
        if self.newest > before:
            share = self._shares(before + 1, place, self._whole_s, time)
            rows, certain = self.rows(before + 1, self.newest)
            rows[:] = (1 - share) * self._held + share * px
            certain[:] = (1 - share[..., 0]) * self._last_scores + share[..., 0] * scores
            self._note(self._end - len(rows), self._end)
        self._held, self._last_scores = px, scores

    def _mend(self, place: float, before: int, time: float, px: Floats, scores: Floats, known: Flags) -> None:
        """Rewrite the rows of the gaps that end now, and those of limbs that stay missing."""
        late = self.late(known, time)
        if late.any():
            self._put(late, px)
        held, beside = self._held, self._held[ANCHORS] - self._held[LIMBS]
        new = np.where(known[:, None], px, held)
        new[LIMBS] = np.where(known[LIMBS, None], px[LIMBS], new[ANCHORS] - beside)
        interval, first = self._interval(time), before + 1
        changed = first
        for limbs in (False, True):  # which hang on the others
            ours = known & (limbs == _IS_LIMB)
            for last in np.unique(self._last_s[ours]).tolist():
                start = self._line(ours & (self._last_s == last), last, interval, place, time, new, scores)
                changed = min(changed, start)
                first = first if limbs else changed
        for place_of in np.flatnonzero(~known[LIMBS]).tolist():
            limb, anchor = int(LIMBS[place_of]), int(ANCHORS[place_of])
            seen = self._last_s[limb]
            rows, _ = self.rows(first if seen < self.origin_s else max(first, math.floor(self.place(seen)) + 1), self.newest)
            rows[:, limb] = rows[:, anchor] - beside[place_of]
        self._note(self._end - 1 - self.newest + changed, self._end)
        self._held, self._last_scores = new, np.where(known, scores, self._last_scores)
        self._last_s[known] = time

    def _line(self, which: Flags, last: float, interval: float, place: float, time: float, new: Floats, scores: Floats) -> int:
        """Draw joints that were last seen at ``last``, and are seen now, into the rows between; return the first of these."""
        joints = np.flatnonzero(which)
        begin = last if time - last - interval <= INTERPOLATE_S + EPSILON_S else max(time - INTERPOLATE_S, self.origin_s)
        start = math.floor(self.place(begin)) + 1
        share = self._shares(start, place, begin, time)
        rows, certain = self.rows(start, self.newest)
        if not self._is_gap(last, time):
            rows[:, joints] = (1 - share) * self._held[joints] + share * new[joints]
            certain[:, joints] = (1 - share[..., 0]) * self._last_scores[joints] + share[..., 0] * scores[joints]
            return start
        anchored = joints[0] in _ANCHOR_OF
        anchors = [_ANCHOR_OF[joint] for joint in joints.tolist()] if anchored else []
        there = rows[:, anchors] if anchored else np.float32(0)
        one, other = (at[joints] - (at[anchors] if anchored else 0) for at in (self._held, new))
        rows[:, joints] = there + (1 - share) * one + share * other
        if len(rows) and place == self.newest:
            rows[-1, joints], certain[-1, joints] = new[joints], scores[joints]
        return start

    def _shares(self, start: int, place: float, begin: float, time: float) -> npt.NDArray[np.float32]:
        """Return how near to ``time``, from ``begin``, rows ``start`` to the newest are: ``(n, 1, 1)``, 0 to 1."""
        times = self.origin_s + np.arange(start, self.newest + 1) / self.rate
        share = np.clip((times - begin) / (time - begin), 0, 1).astype(np.float32)
        if len(share) and place == self.newest:
            share[-1] = 1
        return share[:, None, None]
