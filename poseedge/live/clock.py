"""A person's keypoints at the network's own frame rate, whatever the source's, and gaps bridged on the way."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from poseedge.live.gaps import HOLD_S, INTERPOLATE_S
from poseedge.live.types import Flags, Floats
from poseedge.skeleton import NUM_JOINTS

EPSILON_S = 1e-6
_ON_THE_GRID = 1e-4  # of a frame: two times this near are one


class FrameGrid:
    """Rows of keypoints at ``rate`` frames per second, counted from the person's first sighting, which is row 0.

    Between two sightings of a joint at most ``INTERPOLATE_S`` apart its way is straight; after the last one, and in longer
    gaps, it stays where it was. A sighting therefore rewrites the rows of the gap that it closes. Before row 0 stand
    copies of it. Holds at least the last ``reach`` rows, and never grows.
    """

    def __init__(self, rate: float, reach: int, time: float, px: Floats, scores: Floats) -> None:
        self.rate, self.origin_s = rate, time
        self.newest = 0  # index of the last row
        reach = self._kept = max(reach, math.ceil(INTERPOLATE_S * rate) + 2)
        room = 2 * (reach + math.ceil(HOLD_S * rate) + 2)
        self._px = np.empty((room, NUM_JOINTS, 2), np.float32)
        self._scores = np.empty((room, NUM_JOINTS), np.float32)
        self._px[:reach], self._scores[:reach] = px, scores
        self._end = reach  # row ``newest`` lies before it
        self._last_px, self._last_scores = px.copy(), scores.copy()
        self._last_s = np.full(NUM_JOINTS, time)
        self._whole_s = time  # when all joints were last seen, if no joint was seen since; else NaN

    def place(self, time: float) -> float:
        """Return the row at ``time``, in fractions; whole where a row lies at that time."""
        place = (time - self.origin_s) * self.rate
        near = round(place)
        return float(near) if abs(place - near) <= _ON_THE_GRID else place

    def is_expired(self, time: float) -> bool:
        """Say whether a joint was not seen for longer than a gap may last, if it is seen again at ``time``."""
        if time - self._whole_s <= HOLD_S:
            return False
        return bool(self._expired(time).any())

    def lost_s(self, time: float) -> float:
        """Return when the first of the joints was lost that are expired at ``time``."""
        return float(self._last_s[self._expired(time)].min())

    def _expired(self, time: float) -> Flags:
        return np.asarray(time - self._last_s > HOLD_S + EPSILON_S)

    def hold(self, time: float) -> None:
        """Add the rows up to ``time``, in which nothing was seen."""
        self.grow(math.floor(self.place(time)))

    def see(self, time: float, px: Floats, scores: Floats) -> None:
        """Add the rows up to ``time``, when joints ``(17, 2)`` were seen; NaN where one was not."""
        before = self.newest
        self.hold(time)
        known = ~np.isnan(px[:, 0])
        if known.all():
            if time - self._whole_s <= INTERPOLATE_S:
                self._bridge(slice(None), self._whole_s, time, px, scores, before)
                self._last_px[:], self._last_scores[:], self._last_s[:] = px, scores, time
                self._whole_s = time
                return
            self._whole_s = time
        else:
            self._whole_s = math.nan
        for last in np.unique(self._last_s[known]):
            self._bridge(np.flatnonzero(known & (self._last_s == last)), float(last), time, px, scores, before)
        self._last_px[known], self._last_scores[known], self._last_s[known] = px[known], scores[known], time

    def rows(self, first: int, last: int) -> tuple[Floats, Floats]:
        """Return views of the keypoints ``(n, 17, 2)`` and scores ``(n, 17)`` of rows ``first`` to ``last``, both included."""
        start, stop = self._end - 1 - self.newest + first, self._end - self.newest + last
        return self._px[start:stop], self._scores[start:stop]

    def grow(self, newest: int) -> None:
        """Add rows up to ``newest``: copies of the last sightings."""
        more = newest - self.newest
        if more <= 0:
            return
        if self._end + more > len(self._px):
            kept = slice(self._end - self._kept, self._end)
            self._px[: self._kept], self._scores[: self._kept] = self._px[kept], self._scores[kept]
            self._end = self._kept
        added = slice(self._end, self._end + more)
        self._px[added], self._scores[added] = self._last_px, 0
        self._end += more
        self.newest = newest

    def _bridge(
        self, joints: slice | npt.NDArray[np.int64], last: float, time: float, px: Floats, scores: Floats, before: int
    ) -> None:
        """Rewrite the rows of ``joints`` from sighting ``last`` to this one."""
        start = math.floor(self.place(last)) + 1 if time - last <= INTERPOLATE_S + EPSILON_S else math.ceil(self.place(time))
        ours, certain = self.rows(start, self.newest)
        here = self.place(time)
        whole = start > before  # seen in the frame before: no gap
        for row, index in enumerate(range(start, self.newest + 1)):
            if index == here:
                ours[row, joints], certain[row, joints] = px[joints], scores[joints]
                continue
            share = np.float32(min(max((self.origin_s + index / self.rate - last) / (time - last), 0.0), 1.0))
            ours[row, joints] = (1 - share) * self._last_px[joints] + share * px[joints]
            if whole:
                certain[row, joints] = (1 - share) * self._last_scores[joints] + share * scores[joints]
