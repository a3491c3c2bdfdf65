"""MoveNet (Google), a network for one person: looks where the person was, and searches the picture for people to follow.

The region for the next picture is the one of Google's own code: https://www.tensorflow.org/hub/tutorials/movenet
"""

from __future__ import annotations

import numpy as np

from poseedge.live.detectors.cut import cut, whole
from poseedge.live.detectors.following import Following
from poseedge.live.detectors.network import PictureNetwork
from poseedge.live.detectors.person import Box, Person, Picture, person_of
from poseedge.live.types import Floats

_SHOULDERS, _HIPS = [5, 6], [11, 12]
_TORSO = _SHOULDERS + _HIPS
_SEEN = 0.2  # Google's threshold for a joint that may shape the region
_TORSO_MARGIN, _BODY_MARGIN = 1.9, 1.2
# The mean of the nine best scores tells a person from furniture: people down to the waist have 0.6 and more, what the
# network makes of empty rooms 0.43 at most.
_BEST = 9
_NEW_PERSON, _KNOWN_PERSON = 0.5, 0.35
_CLOSER_LOOKS = 2  # from a large region, one step brings the person into view, the second into full size


class MoveNet:
    """Follows up to ``people`` persons through a video."""

    name = "movenet"
    layout = "coco17"

    def __init__(self, network: PictureNetwork, people: int = 1, thorough: bool = False) -> None:
        """``thorough`` is for pictures that do not follow each other; see ``Following``."""
        self._network = network
        self._following = Following(people, self._again, self.find, thorough)

    def detect(self, rgb: Picture) -> tuple[Person, ...]:
        """Return the followed people; see ``Detector``."""
        return self._following.step(rgb)

    def find(self, rgb: Picture, region: Box) -> Person | None:
        """Return the person in ``region`` whom the network also sees from close by, None if there is none."""
        person = self._look(rgb, region)
        for _ in range(_CLOSER_LOOKS):
            closer = region_of(person, rgb)
            if closer is None:
                break
            region, person = closer, self._look(rgb, closer)
        close = region_of(person, rgb) is not None or region == whole(rgb)
        return person if close and _best(person) >= _NEW_PERSON else None

    def _again(self, rgb: Picture, person: Person) -> Person | None:
        seen = self._look(rgb, region_of(person, rgb) or whole(rgb))
        return seen if _best(seen) >= _KNOWN_PERSON else None

    def _look(self, rgb: Picture, region: Box) -> Person:
        """Return what the network takes for a person in ``region``: it always says something."""
        size = self._network.size
        picture, placement = cut(rgb, region, size)
        joints = self._network(picture)[0].reshape(17, 3)
        return person_of(placement.from_edges(joints[:, 1::-1] * np.array(size, np.float32)), joints[:, 2])


def _best(person: Person) -> float:
    return float(np.sort(person.scores)[-_BEST:].mean())


def region_of(person: Person, rgb: Picture) -> Box | None:
    """Return the square in which to look for ``person`` in the next picture; None if shoulders or hips are not seen.

    The square is centred between the hips, and reaches 1.9 times as far as the torso or 1.2 times as far as any joint,
    whichever is more, but not beyond the farthest edge of the picture.
    """
    if not _torso_seen(person.scores):
        return None
    height, width = rgb.shape[:2]
    centre = person.keypoints[_HIPS].mean(axis=0)
    away = np.abs(person.keypoints - centre).max(axis=1)
    reach = max(
        _TORSO_MARGIN * float(away[_TORSO].max()),
        _BODY_MARGIN * float(away[person.scores >= _SEEN].max(initial=0)),
    )
    x, y = float(centre[0]), float(centre[1])
    reach = min(reach, max(x, width - x, y, height - y))
    if reach > max(width, height) / 2:
        return whole(rgb)
    return x - reach, y - reach, 2 * reach, 2 * reach


def _torso_seen(scores: Floats) -> bool:
    return bool((scores[_SHOULDERS] >= _SEEN).any() and (scores[_HIPS] >= _SEEN).any())
