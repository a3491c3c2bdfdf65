"""Following a number of people from picture to picture with a network that sees one person at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from poseedge.live.detectors.cut import whole
from poseedge.live.detectors.person import SAME_PERSON, Box, Person, Picture, similarity

Again = Callable[[Picture, Person], "Person | None"]
Find = Callable[[Picture, Box], "Person | None"]

SEARCH_EVERY = 5  # pictures, while some but not all of the people are followed


class Following:
    """Who was seen last, and where the search for others stands."""

    def __init__(self, people: int, again: Again, find: Find, thorough: bool = False) -> None:
        """``again`` finds a person of the last picture once more, ``find`` whoever is in a region.

        The first picture is searched whole and in large squares, and the largest people are followed. Later a search takes
        two regions of a picture, the whole and one that is next in turn, and goes on in the next picture. ``thorough``: the
        pictures do not follow each other, so each is searched on its own, in all regions.
        """
        self._people, self._again, self._find, self._thorough = people, again, find, thorough
        self._followed: list[Person] = []
        self._pictures_since_search = SEARCH_EVERY
        self._turn: int | None = None  # before the first search

    def step(self, rgb: Picture) -> tuple[Person, ...]:
        """Return the people in the next picture."""
        found: list[Person] = []
        for person in self._followed:
            _add(found, self._again(rgb, person))
        self._pictures_since_search += 1
        if len(found) < self._people and (not found or self._pictures_since_search >= SEARCH_EVERY):
            self._pictures_since_search = 0
            found = self._searched(rgb, found)
        self._followed = [] if self._thorough else found
        return tuple(found)

    def _searched(self, rgb: Picture, known: list[Person]) -> list[Person]:
        """Return ``known`` and the largest people found besides."""
        everybody = list(known)
        for region in self._regions(rgb):
            _add(everybody, self._find(rgb, region))
        new = sorted(everybody[len(known) :], key=lambda person: -person.box[2] * person.box[3])
        return known + new[: self._people - len(known)]

    def _regions(self, rgb: Picture) -> list[Box]:
        large, small = parts_of(rgb)
        if self._thorough:
            return [whole(rgb), *large, *small]
        if self._turn is None:
            self._turn = 0
            return [whole(rgb), *large]
        parts = large + small
        self._turn = (self._turn + 1) % len(parts)
        return [whole(rgb), parts[self._turn]]


def _add(found: list[Person], person: Person | None) -> None:
    """Add ``person`` to ``found`` unless it is one of them."""
    if person and all(similarity(person, other) < SAME_PERSON for other in found):
        found.append(person)


def parts_of(rgb: Picture) -> tuple[list[Box], list[Box]]:
    """Return squares that cover the picture along its longer side, and squares half as large that cover all of it."""
    height, width = rgb.shape[:2]
    large, small = (
        [(left, top, side, side) for top in _starts(height, side) for left in _starts(width, side)]
        for side in (float(min(width, height)), min(width, height) / 2)
    )
    return large, small


def _starts(length: float, side: float) -> list[float]:
    """Return starts of stretches of ``side`` that cover ``length``, each overlapping the next by a third or more."""
    count = int(np.ceil((length - side) / (side * 2 / 3))) + 1
    return [float(start) for start in np.linspace(0, length - side, count)]
