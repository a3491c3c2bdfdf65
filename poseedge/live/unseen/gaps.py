"""What a detector got wrong: joints that it missed, that jump beyond reason, or whose left and right it confused."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from poseedge.live.types import Flags, Floats, Indices
from poseedge.live.unseen.first import Correction, FirstSightings, exchanged
from poseedge.live.view import points_of
from poseedge.skeleton import LEFT, NUM_JOINTS, RIGHT

LEAST_SCORE = 0.3  # below it a detector does not believe in its own keypoint
INTERPOLATE_S = 0.5  # gaps up to this are bridged by straight lines, as is the end of longer ones
HOLD_S = 1.0  # gaps up to this keep the last place; a longer one ends the track, unless it is a limb's

_LEFT, _RIGHT = np.array(LEFT), np.array(RIGHT)
# Of the person's extent in the picture, and what a second without news adds. Of 560,000 joints of mocap17, 10 to 50 Hz, none is
# thrown out, nor at 1.5 times their speed; more than half of the gross errors that 0.1 and 5 miss are found.
_JUMP, _JUMP_PER_S = 0.08, 3.0
_SWAP_GAIN, _SWAP_GAIN_PER_S = 0.08, 2.0  # how much nearer the exchanged pair must be; less takes noise of 3 % for swaps
_SWAP_GAIN_OF_ALL = 0.2  # the same for all pairs together: detectors mostly exchange them together
_GAIN = _SWAP_GAIN + _SWAP_GAIN_OF_ALL
_SWAP_TRUST_S = 0.5  # a detector that insists for this long is right
_PREDICT_S = 0.1  # how far ahead the last velocity is believed
_SAME_S = 1e-6  # times of a step that are one
_STRANGER_FRAMES = 3  # most joints elsewhere for so many frames: somebody else, or a cut


_HALF = np.array(0.5, np.float32)  # a number of Python's is converted anew in every product, which takes as long as the product
_LEAST = np.array([0, 0, np.nextafter(np.float32(LEAST_SCORE), np.float32(0))], np.float32)
_LEAST_OF_ALL = np.tile(_LEAST, (200, 1))  # of more joints than a layout has: arrays of one shape are soonest compared


def is_clean(keypoints: Floats) -> bool:
    """Say whether ``gate`` would leave all of ``(K, 3)``, pixels and score, as they are: quick, and False in doubt."""
    flat = keypoints.ravel()
    return b"\0" not in (keypoints > _LEAST_OF_ALL[: len(keypoints)]).tobytes() and math.isfinite(flat.dot(flat))


def are_clean(joints: Floats, scores: Floats) -> Flags:
    """Say of joints ``(N, 17, 2)`` and scores ``(N, 17)`` in which frames all were seen, and none is made of what was not."""
    return np.asarray(~np.isnan(joints).any(axis=(1, 2)) & (scores > 0).all(axis=1))


def gate(keypoints: npt.NDArray[np.floating], scores: npt.NDArray[np.floating], least: float = LEAST_SCORE) -> Floats:
    """Return keypoints ``(..., K, 2)`` with NaN for what is missing: scores ``(..., K)`` under ``least``, points at (0, 0)."""
    missing = (scores < least) | np.isnan(scores) | ~keypoints.any(axis=-1) | ~np.isfinite(keypoints).all(axis=-1)
    return np.where(missing[..., None], np.float32(np.nan), keypoints).astype(np.float32)


@dataclass
class Faults:
    """What was thrown out of one person's keypoints, in joints; and why no pose is given, in frames."""

    swapped: int = 0
    jumped: int = 0
    ended: int = 0  # tracks that ended because of a gap, or because somebody else stood there
    lacking: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(NUM_JOINTS, np.int64)
    )  # frames without a pose, by joint
    held: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(NUM_JOINTS, np.int64)
    )  # frames with a pose in which a limb had been missing for longer than a gap may last, or was not seen before, by joint


class Continuity:
    """One person's joints from frame to frame: undoes swaps of left and right, and throws out jumps.

    Knows the past alone: what it says of a frame does not depend on those that follow. Of a track's first half second it may
    have said what was wrong; then ``correction`` says so.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.begin()

    def begin(self) -> None:
        """Forget the person."""
        self._px = np.full((NUM_JOINTS, 2), np.nan, np.float32)  # where each joint was last seen, and when
        self._time = np.full(NUM_JOINTS, -np.inf)
        self._step, self._step_s = np.zeros((NUM_JOINTS, 2), np.float32), 1.0  # how far they are expected to move, in which time
        self._straight_time = np.full(len(LEFT), -np.inf)  # when each pair was last not swapped
        self._strange = 0
        self._whole_time = -np.inf  # when all joints were last seen, if no frame came since
        self._is_behind = False  # what is noted by joint
        self._first: FirstSightings | None = FirstSightings()
        self.correction: Correction | None = None  # of what was said before the newest sighting

    def check(self, px: Floats, time: float) -> tuple[Floats, bool]:
        """Return joints ``(17, 2)``, NaN where missing, as they are to be believed at ``time`` in seconds.

        Also says whether this is somebody else: then the joints are as they were given.
        """
        self.correction = None
        if self.is_usual(px, points_of(px), time):
            return px, False
        self._write_down()
        if self._first is not None and self._first.are_over(time):
            self._first = None
        elapsed = np.minimum(time - self._time, 1e3).astype(np.float32)
        expected = self._px + self._step * np.minimum(elapsed, _PREDICT_S)[:, None]  # NaN where nothing is known
        size = self._size()
        px = self._unswapped(px, expected, size, time, elapsed)
        off = px - expected
        far = _length(off) > size * (_JUMP + _JUMP_PER_S * elapsed)  # False where either is missing
        jumps = int(np.count_nonzero(far))
        if 2 * jumps > np.count_nonzero(~np.isnan(off[:, 0])):
            self._strange += 1
            if self._strange >= _STRANGER_FRAMES:
                return px, True
            far[:] = True  # of such a frame nothing is believed
        else:
            self._strange = 0
            if self._first is not None:
                far &= ~self._outvoted(self._first, px, time, off, size)
        if far.any():
            px = np.where(far[:, None], np.float32(np.nan), px)
            self.faults.jumped += jumps
        self._remember(px, time, elapsed)
        return px, False

    def is_usual(self, px: Floats, points: list[complex], time: float) -> bool:
        """Say whether all joints are so near to where they were expected that nothing can be wrong; remember them if so.

        A short cut: ``check`` would come to the same. ``points``: the joints once more, which must not be changed afterwards.
        """
        elapsed = time - self._whole_time
        if elapsed > _PREDICT_S:
            return False
        if abs(elapsed - self._step_s) > _SAME_S:
            self._expect(elapsed)
        off = px - self._px
        off -= self._step
        each = off.ravel()
        # By the sum of squares: no joint jumps, no pair looks exchanged, nor do all six together; NaN is unusual.
        head = points[10]
        tall = max(abs(head - points[3]), abs(head - points[6]))  # which the person's extent exceeds
        if not 5 * math.sqrt(each.dot(each)) <= tall * (_GAIN + _SWAP_GAIN_PER_S * elapsed):
            return False
        off *= _HALF  # the mean of the step before and this one
        self._step += off
        self._px, self._whole_time, self._strange, self._is_behind = px, time, 0, True
        return True

    def _expect(self, elapsed: float) -> None:
        """Put the expected step for another time."""
        self._step *= elapsed / self._step_s
        self._step_s = elapsed

    def _write_down(self) -> None:
        """Note by joint what the short cut left out; the expected step is that of a second then."""
        self._expect(1.0)
        self._px = self._px.copy()
        if self._is_behind:
            self._time[:] = self._straight_time[:] = self._whole_time
            self._is_behind = False

    def _size(self) -> float:
        """Return the person's extent where it was last seen."""
        low, high = np.fmin.reduce(self._px), np.fmax.reduce(self._px)
        width, height = (high - low).tolist()
        return math.hypot(width, height) if width == width else 0.0  # nothing was seen: NaN

    def _unswapped(self, px: Floats, expected: Floats, size: float, time: float, elapsed: Floats) -> Floats:
        """Give each pair of joints the assignment that is nearer to where they were expected."""
        left, right, there, across = px[_LEFT], px[_RIGHT], expected[_LEFT], expected[_RIGHT]
        straight = _length(left - there) + _length(right - across)
        crossed = _length(left - across) + _length(right - there)
        gain = size * (_SWAP_GAIN + _SWAP_GAIN_PER_S * np.maximum(elapsed[_LEFT], elapsed[_RIGHT]))
        nearer = straight - crossed  # NaN where a joint is missing
        swapped = nearer > gain
        if np.nansum(nearer) > _SWAP_GAIN_OF_ALL * size + gain.min():
            swapped |= nearer > 0
        if self._first is not None:
            turned = self._first.turned(~np.isnan(left[:, 0] + right[:, 0]), swapped)
            if turned.any():
                self._turn(exchanged(turned), expected)
                swapped &= ~turned
        self._straight_time[~swapped] = time
        if not swapped.any():
            return px
        insisted = swapped & (time - self._straight_time > _SWAP_TRUST_S)
        if insisted.any():  # then the memory is wrong
            joints = np.concatenate([_LEFT[insisted], _RIGHT[insisted]])
            self._px[joints] = expected[joints] = np.nan
            swapped &= ~insisted
        self.faults.swapped += int(np.count_nonzero(swapped))
        px = px.copy()
        px[_LEFT[swapped]], px[_RIGHT[swapped]] = right[swapped], left[swapped]
        return px

    def _turn(self, order: Indices, expected: Floats) -> None:
        """Exchange joints in what is known, for it was they that were exchanged."""
        self._px, expected[:] = self._px[order], expected[order]
        self._step, self._time = self._step[order], self._time[order]
        self.correction = Correction(order, np.zeros(NUM_JOINTS, np.bool_))

    def _outvoted(self, first: FirstSightings, px: Floats, time: float, off: Floats, size: float) -> Flags:
        """Return which joints were believed to be where most of the first sightings do not show them; forget these."""
        outvoted = _length(off) > size * (_JUMP + _JUMP_PER_S * first.since_last_s(time))
        outvoted &= first.outvoted(px, time, self._px, self._time, size)
        if outvoted.any():
            order = self.correction.order if self.correction else np.arange(NUM_JOINTS)
            self.correction = Correction(order, outvoted)
            self._px[outvoted] = np.nan
        return outvoted

    def _remember(self, px: Floats, time: float, elapsed: npt.NDArray[np.float32]) -> None:
        known = ~np.isnan(px[:, 0])
        with np.errstate(invalid="ignore", divide="ignore"):
            velocity = (px - self._px) / elapsed[:, None]
        fresh = known & np.isfinite(velocity).all(axis=-1) & (elapsed <= _PREDICT_S)
        self._step[fresh] = (self._step[fresh] + velocity[fresh]) / 2
        self._step[known & ~fresh] = 0
        self._px[known] = px[known]
        self._time[known] = time
        self._whole_time = time if known.all() and self._first is None else -np.inf


def _length(vectors: Floats) -> Floats:
    return np.asarray(np.hypot(vectors[..., 0], vectors[..., 1]))
