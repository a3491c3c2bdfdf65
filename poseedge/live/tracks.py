"""Who is who: ids over time where the file gives none, and the choice of one person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from poseedge.errors import DataError
from poseedge.live.types import Clip, Floats, Indices, Track

_REACH = 0.2  # a joint that moved by this share of the person's size since the last frame is 0.6 similar
_ALIKE = 0.2  # least similarity of one person in two frames: on the mean a move of 0.36 of the size
UNKNOWN = -1  # the id of a detection that has none


@dataclass
class _Seen:
    id: int
    frame: int
    keypoints: Floats  # (K, 2) where each joint was seen last
    size: float  # pixels


class Linker:
    """Gives people of one frame after the other the ids of those most similar to them in the frames before.

    Similarity is that of COCO (Ronchi and Perona 2017, "object keypoint similarity") with one constant for all joints; of
    all ways to give ids the one with the greatest sum is taken, so that people who walk close behind each other keep theirs. A
    person whom ``patience`` frames or more have passed without is forgotten.
    """

    def __init__(self, patience: int, first_id: int = 1) -> None:
        self._patience, self._next, self._people = patience, first_id, list[_Seen]()

    def push(self, frame: int, keypoints: npt.NDArray[Any]) -> list[int]:
        """Return the ids of the people ``(P, K, 2)`` of ``frame``; frames come in ascending order."""
        self._people = [person for person in self._people if frame - person.frame <= self._patience]
        ids = [UNKNOWN] * len(keypoints)
        alike = self._similarities(keypoints)
        for known, new in best_pairs(np.where(alike < _ALIKE, 0.0, alike)):
            person = self._people[known]
            ids[new] = person.id
            person.frame, person.size = frame, person_size(keypoints[new])
            person.keypoints = np.where(np.isnan(keypoints[new]), person.keypoints, keypoints[new])
        for new in range(len(keypoints)):
            if ids[new] == UNKNOWN:
                ids[new], self._next = self._next, self._next + 1
                self._people.append(_Seen(ids[new], frame, np.array(keypoints[new]), person_size(keypoints[new])))
        return ids

    def _similarities(self, keypoints: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return ``(known people, P)``, 0 to 1."""
        if not self._people or not len(keypoints):
            return np.zeros((len(self._people), len(keypoints)))
        known = np.stack([person.keypoints for person in self._people])
        reach = _REACH * np.array([max(person.size, 1.0) for person in self._people], np.float64)[:, None, None]
        squared = ((known[:, None] - keypoints[None]) ** 2).sum(axis=-1) / reach**2
        both = ~np.isnan(squared)
        likeness = np.where(both, np.exp(-0.5 * np.where(both, squared, 0)), 0).sum(axis=-1)
        return np.asarray(likeness / np.maximum(both.sum(axis=-1), 1), np.float64)


def best_pairs(worth: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the pairs of a row and a column of ``worth`` ``(N, M)``, each in one at most, whose sum is greatest.

    Pairs that are worth nothing are left out. Kuhn 1955's assignment by shortest augmenting paths (Jonker and Volgenant 1987).
    """
    if worth.shape[0] > worth.shape[1]:
        return sorted((row, column) for column, row in best_pairs(worth.T))
    row_of = np.full(worth.shape[1], -1)
    row_price, price = np.zeros(worth.shape[0]), np.zeros(worth.shape[1])
    for row in range(len(worth)):
        _augment(-worth, row, row_of, row_price, price)
    return sorted((int(row), column) for column, row in enumerate(row_of) if row >= 0 and worth[row, column] > 0)


def _augment(
    cost: npt.NDArray[np.float64], row: int, row_of: Indices, row_price: npt.NDArray[np.float64], price: npt.NDArray[np.float64]
) -> None:
    """Give ``row`` a column, by passing on those of others along the cheapest path; prices keep paths' lengths positive."""
    shortest, before = np.full(len(price), np.inf), np.full(len(price), -1)
    reached = np.zeros(len(price), np.bool_)
    at, column, length = row, -1, 0.0
    while at >= 0:
        through = length + cost[at] - row_price[at] - price
        better = ~reached & (through < shortest)
        shortest[better], before[better] = through[better], column
        column = int(np.where(reached, np.inf, shortest).argmin())
        length = float(shortest[column])
        reached[column], at = True, int(row_of[column])
    passed = np.flatnonzero(reached & (row_of >= 0))
    row_price[row_of[passed]] += length - shortest[passed]
    row_price[row] += length
    price[passed] -= length - shortest[passed]
    while column >= 0:
        row_of[column] = row if before[column] < 0 else row_of[before[column]]
        column = int(before[column])


def person_size(keypoints: npt.NDArray[Any]) -> float:
    """Return the size in pixels of a person ``(K, 2)``: the root of the area around all joints that are there."""
    there = keypoints[~np.isnan(keypoints).any(axis=-1)]
    if len(there) < 2:
        return 0.0
    width, height = there.max(axis=0) - there.min(axis=0)
    return float(np.sqrt(max(width, height / 4) * max(height, width / 4)))  # a person seen edge-on keeps a size


def link(
    frames: Indices, keypoints: Floats, scores: Floats, ids: Indices | None = None, fps: float | None = None
) -> tuple[Track, ...]:
    """Return the tracks of detections: ``frames`` ``(N,)`` ascending, ``keypoints`` ``(N, K, 2)``, ``scores`` ``(N, K)``.

    ``ids`` ``(N,)``, -1 where there is none: where the source gave one it is kept, and of two people of one id in one
    frame the surer one. Others are linked by ``Linker``, over gaps of up to a second (30 frames where ``fps`` is unknown).
    """
    whose = np.full(len(frames), UNKNOWN, np.int64) if ids is None else ids.copy()
    unknown = np.flatnonzero(whose == UNKNOWN)
    linker = Linker(max(1, round(fps or 30)), max(0, int(whose.max(initial=0))) + 1)
    for rows in _runs(unknown, frames):
        whose[rows] = linker.push(int(frames[rows[0]]), keypoints[rows])
    tracks = []
    for rows in _runs(np.argsort(whose, kind="stable"), whose):
        rows = _surest(rows, frames, scores)
        tracks.append(Track(int(whose[rows[0]]), frames[rows], keypoints[rows], scores[rows]))
    return tuple(tracks)


def _runs(rows: Indices, of: Indices) -> list[Indices]:
    """Split rows into runs of which all have the same value."""
    return np.split(rows, np.flatnonzero(np.diff(of[rows])) + 1) if len(rows) else []


def _surest(rows: Indices, frames: Indices, scores: Floats) -> Indices:
    """Return one of the rows of each frame: that of the highest scores."""
    if (np.diff(frames[rows]) > 0).all():
        return rows
    rows = rows[np.lexsort((-scores[rows].sum(axis=-1), frames[rows]))]
    return rows[np.diff(frames[rows], prepend=frames[rows[0]] - 1) > 0]


def select(clip: Clip, person: Literal["largest"] | int | None = None) -> Clip:
    """Return the clip with one person alone: by id, or the one who fills most of the picture over all frames.

    None keeps everybody. Raises ``DataError`` for an id that is not there.
    """
    if person is None or not clip.tracks:
        return clip
    if person == "largest":
        return replace(clip, tracks=(max(clip.tracks, key=_filled),))
    chosen = tuple(track for track in clip.tracks if track.id == person)
    if not chosen:
        known = ", ".join(str(track.id) for track in clip.tracks[:20]) + (", ..." if len(clip.tracks) > 20 else "")
        raise DataError(f"{clip.name}: there is no person {person}", f"ids found: {known}; or --person largest")
    return replace(clip, tracks=chosen)


def _filled(track: Track) -> float:
    """Return the sum over frames of the area in pixels around a person."""
    low = np.where(np.isnan(track.keypoints), np.inf, track.keypoints).min(axis=1)
    high = np.where(np.isnan(track.keypoints), -np.inf, track.keypoints).max(axis=1)
    return float(np.maximum(high - low, 0).astype(np.float64).prod(axis=-1).sum())
