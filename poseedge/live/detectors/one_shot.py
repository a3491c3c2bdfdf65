"""Detectors that are shown the whole picture and see everybody in it: YOLO-pose, RTMO, MoveNet MultiPose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from poseedge.live.detectors.cut import cut, whole
from poseedge.live.detectors.decode import Found
from poseedge.live.detectors.network import Outputs, PictureNetwork
from poseedge.live.detectors.person import Person, Picture, person_of

Decode = Callable[[Outputs, tuple[int, int]], Found]
Prepare = Callable[[Picture], npt.NDArray[Any]]


class OneShot:
    """Finds everybody, or the ``people`` persons with the highest scores, in every picture anew."""

    layout = "coco17"

    def __init__(
        self, name: str, network: PictureNetwork, decode: Decode, prepare: Prepare, fill: int, people: int | None = None
    ) -> None:
        """``prepare`` turns RGB 0 to 255 into what the network takes; ``fill`` is the grey beside the picture."""
        self.name = name
        self._network, self._decode, self._prepare = network, decode, prepare
        self._fill, self._people = fill, people

    def detect(self, rgb: Picture) -> tuple[Person, ...]:
        """Return the people; see ``Detector``."""
        picture, placement = cut(rgb, whole(rgb), self._network.size, self._fill)
        keypoints, scores, boxes = self._decode(self._network(self._prepare(picture)), self._network.size)
        starts, ends = placement.from_edges(boxes[:, :2]), placement.from_edges(boxes[:, :2] + boxes[:, 2:])
        found = [
            person_of(joints, score, (float(x), float(y), float(right - x), float(bottom - y)))
            for joints, score, (x, y), (right, bottom) in zip(placement.from_edges(keypoints), scores, starts, ends, strict=True)
        ]
        return tuple(sorted(found, key=lambda person: -person.score)[: self._people])
