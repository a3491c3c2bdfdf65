"""Poses while a person moves: a window per frame, and the mean of what overlapping windows say."""

from collections import deque
from typing import Any, Deque, List, Optional, Tuple

import numpy as np

from poseedge.device.runner.bundle import JOINTS
from poseedge.device.runner.words import Refused
from poseedge.overlap import Mean, slot_weights


class Stream:
    """One person's keypoints in, frame by frame at the network's frame rate; poses out as soon as they are final.

        stream = Stream(lifter)
        for keypoints in frames:              # (17, C), normalized screen coordinates
            for number, pose_m in stream.push(keypoints):
                ...

    A pose waits for ``look_ahead`` frames. Missing joints, other frame rates and several people are for ``poseedge.Stream``, on
    a Python that has poseedge. Not for several threads at a time.
    """

    def __init__(self, lifter: Any, every: Optional[int] = None) -> None:
        """``every``: frames from one window to the next; default: 1, or a ninth of the outputs where all frames come out."""
        shown = np.array(lifter.output_frames)
        whole = len(shown) == lifter.frames > 1
        self.every = every if every is not None else max(len(shown) // 9, 1) if whole else 1
        if not 1 <= self.every <= len(shown):
            raise Refused("a window every {} frames leaves frames without a pose; 1 to {}".format(self.every, len(shown)))
        self.look_ahead = lifter.frames - 1 - int(shown[0])
        self._lifter, self._shown = lifter, shown
        self._restart()

    def push(self, keypoints: Any) -> List[Tuple[int, Any]]:
        """Take the next frame ``(17, C)``; return (frame, pose ``(17, 3)`` in metres) of those that are final now, in order."""
        row = np.asarray(keypoints, np.float32)
        if row.shape != (JOINTS, self._lifter.channels):
            raise Refused("keypoints are {}, wanted ({}, {})".format(row.shape, JOINTS, self._lifter.channels))
        if self._newest < 0:
            self._rows.extend([row] * self._lifter.frames)  # before the first frame it stood as in it
        self._rows.append(row)
        self._newest += 1
        return self._advance(self._newest, self._newest)

    def finish(self) -> List[Tuple[int, Any]]:
        """Return the poses that are still waited for; the stream may begin anew then, at frame 0."""
        last = self._newest
        given: List[Tuple[int, Any]] = []
        for frame in range(last + 1, last + 1 + self.look_ahead if last >= 0 else 0):
            self._rows.append(self._rows[-1])
            given += self._advance(frame, last)
        self._restart()
        return given

    def _restart(self) -> None:
        self._rows: Deque[Any] = deque(maxlen=self._lifter.frames)
        self._mean = Mean(self._lifter.frames, self._shown, slot_weights(len(self._shown)))
        self._newest = -1

    def _advance(self, frame: int, last: int) -> List[Tuple[int, Any]]:
        """Run the window that ends with ``frame``, if it is its turn; frames after ``last`` repeat it."""
        first, final = frame + 1 - self._lifter.frames, frame - self.look_ahead
        shows_some = first + self._shown[-1] >= 0 and first + self._shown[0] <= last
        if frame % self.every == 0 and shows_some:
            self._mean.add(self._lifter(np.stack(self._rows)), first, last)
        if final < 0:
            return []
        [pose] = self._mean.take(final)
        return [(final, pose)]
