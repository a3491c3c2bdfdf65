"""A face that comes and goes: the trunk's formula must not change with every joint of it that is unsure for a moment.

Spine, thorax, neck and head are made from the face where it is seen, and from shoulders and hips alone where it is not. The two
differ by centimetres, so a joint near the least score would make the head jump at the detector's whim.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from poseedge.data.keypoints import middle
from poseedge.live.layouts import FACE, SHOULDERS
from poseedge.live.types import Flags, Floats
from poseedge.live.unseen.gaps import INTERPOLATE_S

FADE_S = 0.25  # from one formula to the other


class Face:
    """One person's face over time, in COCO's joints.

    A joint that was seen within ``INTERPOLATE_S`` is taken to be where it was, beside those of the face that are seen, or
    else the shoulders. Beyond that the formula without a face takes over within ``FADE_S``, as the one with a face does later.
    """

    def __init__(self) -> None:
        self._beside: Floats = np.zeros((5, 2), np.float32)  # from the shoulders' middle to each joint, as it is taken to be
        self._seen_s = np.full(5, -math.inf)
        self._share, self._time = 0.0, -math.inf
        self._whole: Floats | None = None  # the last frame, if all of the face was seen in it: not measured out yet

    def complete(self, coco: Floats, time: float, is_whole: bool) -> float:
        """Fill in missing joints of the face of COCO keypoints ``(17, 2 or 3)``, in place; ``is_whole``: no keypoint is missing.

        Returns the share of the formula with a face, 0 to 1: above 0 all joints of the face are there.
        """
        elapsed, before, self._time = time - self._time, self._time, time
        if is_whole and (self._share == 1 or elapsed > INTERPOLATE_S):
            self._share, self._whole = 1.0, coco
            return 1.0
        if self._whole is not None:
            whole = self._whole[:, :2]
            self._beside = np.asarray(whole[FACE] - middle(whole, SHOULDERS), np.float32)
            self._seen_s[:], self._whole = before, None
        return self._completed(coco[:, :2], time, elapsed)

    def _completed(self, coco: Floats, time: float, elapsed: float) -> float:
        shoulders = middle(coco, SHOULDERS)
        if math.isnan(shoulders[0]):
            return self._share  # there is no trunk either
        beside = coco[FACE] - shoulders
        seen, fresh = ~np.isnan(beside[:, 0]), time - self._seen_s <= INTERPOLATE_S
        wanted, step = float((seen | fresh).all()), elapsed / FADE_S
        self._share = wanted if elapsed > INTERPOLATE_S else self._share + min(max(wanted - self._share, -step), step)
        both = seen & fresh
        moved = (beside - self._beside)[both].mean(axis=0) if both.any() else np.float32(0)
        self._beside = np.where(seen[:, None], beside, self._beside + moved)
        self._seen_s[seen] = time
        if self._share > 0 and not seen.all():
            coco[FACE] = np.where(seen[:, None], coco[FACE], shoulders + self._beside)
        return self._share


def completed(coco: Floats, times: npt.NDArray[np.float64], face: Face | None = None) -> tuple[Floats, Floats]:
    """Return a person's COCO keypoints ``(N, 17, 2)`` with the face filled in, and the share of the formula with it ``(N,)``.

    ``face`` was shown the frames before, and is shown these.
    """
    whole: Flags = np.asarray(~np.isnan(coco).any(axis=(1, 2)))
    shares = np.ones(len(coco), np.float32)
    coco, face = coco.copy(), face or Face()
    for row, time, is_whole in zip(range(len(coco)), times.tolist(), whole.tolist(), strict=True):
        shares[row] = face.complete(coco[row], time, is_whole)
    return coco, shares
