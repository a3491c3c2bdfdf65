"""Detectors that are shown one person at a time (RTMPose, HRNet, ViTPose): another finds the people, these place joints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.live.detectors.cut import cut
from poseedge.live.detectors.following import Find, Following
from poseedge.live.detectors.network import Outputs, PictureNetwork
from poseedge.live.detectors.person import SURE, Box, Person, Picture, person_of

Decode = Callable[[Outputs, tuple[int, int]], tuple[npt.NDArray[Any], npt.NDArray[Any]]]

# Of ImageNet, in RGB, which MMPose and the authors of HRNet and ViTPose train with.
_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
_DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
_PADDING = 1.25  # of a person's box, in MMPose and in HRNet's code
_MIN_SURE_SHARE = 1 / 3  # of the joints; below, the person is lost


class TopDown:
    """Follows up to ``people`` persons; ``find`` finds those that are not followed yet."""

    def __init__(
        self,
        name: str,
        layout: str,
        network: PictureNetwork,
        decode: Decode,
        find: Find,
        people: int = 1,
        thorough: bool = False,
    ) -> None:
        """``decode`` gives keypoints, counted in pixels of the input, and scores. For ``thorough`` see ``Following``."""
        self.name, self.layout = name, layout
        self._network, self._decode, self._find = network, decode, find
        self._following = Following(people, lambda rgb, person: self._place(rgb, person.box), self._new, thorough)

    def detect(self, rgb: Picture) -> tuple[Person, ...]:
        """Return the followed people; see ``Detector``."""
        return self._following.step(rgb)

    def _new(self, rgb: Picture, region: Box) -> Person | None:
        found = self._find(rgb, region)
        return self._place(rgb, found.box) if found else None

    def _place(self, rgb: Picture, box: Box) -> Person | None:
        """Return the person in ``box``, None if the network is sure of too few joints."""
        picture, placement = cut(rgb, _padded(box), self._network.size)
        keypoints, scores = self._decode(self._network((picture - _MEAN) / _DEVIATION), self._network.size)
        if (scores >= SURE).mean() < _MIN_SURE_SHARE:
            return None
        return person_of(placement.from_centres(keypoints), scores)


def _padded(box: Box) -> Box:
    left, top, width, height = box
    extra_x, extra_y = width * (_PADDING - 1) / 2, height * (_PADDING - 1) / 2
    return left - extra_x, top - extra_y, width + 2 * extra_x, height + 2 * extra_y
