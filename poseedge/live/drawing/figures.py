"""From lifted poses to figures to draw: upright axes, feet on the floor, people beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.live.detectors.person import SURE
from poseedge.live.drawing.scene import Figure
from poseedge.live.types import Flags, Floats, Lifted
from poseedge.live.world import y_up
from poseedge.skeleton import ROOT

Point = npt.NDArray[np.float64]  # (3,) metres

_SETTLE_S = 0.4  # in which feet come to stand on the floor: slower than a jump's flight, quicker than a squat
_ANKLE_M = 0.08  # above the floor
_FOCAL = 1.1  # of the picture's longer side
_APART_M = 1.3  # the farthest from the middle is drawn so far away at most, and others nearer in proportion


@dataclass
class Ground:
    """How far a person's root stands above the floor: its lowest joint comes down to it slowly, and never goes through."""

    height_m: float | None = None
    time_s: float = 0.0

    def under(self, pose_m: Floats, time_s: float) -> float:
        """Return the root's height at ``time_s`` for a root-relative pose ``(17, 3)``, y up."""
        needed = float(pose_m[ROOT, 1] - pose_m[:, 1].min()) + _ANKLE_M
        if self.height_m is None or time_s < self.time_s:
            self.height_m = needed
        share = float(np.exp(-max(time_s - self.time_s, 0.0) / _SETTLE_S))
        self.height_m = max(needed, share * self.height_m + (1 - share) * needed)
        self.time_s = time_s
        return self.height_m


@dataclass
class Arrangement:
    """Where people stand: on the floor, where each was seen first, the middle of those in sight in the middle."""

    size: tuple[int, int]  # of the source's picture
    _grounds: dict[int, Ground] = field(default_factory=dict)
    _places: dict[int, Point] = field(default_factory=dict)
    _arranged: npt.NDArray[np.float64] | None = None  # (4,) middle, and by how much distances from it are shortened
    _in_sight: set[int] = field(default_factory=set)
    _time_s: float = 0.0

    def put(self, people: Sequence[Figure], time_s: float) -> list[Figure]:
        """Return ``people`` of the frame at ``time_s`` with their root-relative poses, y up, put where they stand."""
        posed = [figure for figure in people if figure.pose_m is not None]
        if not posed:
            return list(people)
        for figure in posed:
            if figure.pose_m is not None and figure.id not in self._places:
                self._places[figure.id] = place_of(figure.pose_m, figure.keypoints_px, self.size)
        places = np.stack([self._places[figure.id] for figure in posed])
        middle = places.mean(axis=0)
        reach = max(float(np.linalg.norm(places - middle, axis=1).max()), 1e-6)
        target = np.array([*middle, min(1.0, _APART_M / reach)])
        share = float(np.exp(-max(time_s - self._time_s, 0.0) / _SETTLE_S))
        ids = {figure.id for figure in posed}
        if self._arranged is None or not ids & self._in_sight:  # others than before: nothing that could jump
            self._arranged = target
        self._arranged = share * self._arranged + (1 - share) * target
        self._time_s, self._in_sight = time_s, ids
        return [self._standing(figure, self._arranged, time_s) for figure in people]

    def _standing(self, figure: Figure, arranged: npt.NDArray[np.float64], time_s: float) -> Figure:
        if figure.pose_m is None:
            return figure
        height = self._grounds.setdefault(figure.id, Ground()).under(figure.pose_m, time_s)
        at = (self._places[figure.id] - arranged[:3]) * arranged[3] + np.array([0, height, 0])

        def put(pose_m: Floats) -> Floats:
            return np.asarray(pose_m - pose_m[ROOT] + at, np.float32)

        against_m = None if figure.against_m is None else put(figure.against_m)
        return replace(figure, pose_m=put(figure.pose_m), against_m=against_m)


def place_of(pose_m: Floats, keypoints_px: Floats, size: tuple[int, int]) -> Point:
    """Return about where a person stands, metres to the right of the camera and towards it, ``(x, 0, z)``.

    Scaled orthographic: the pose's extent in pixels tells how far it is away, for a guessed focal length.
    """
    there: Flags = np.asarray(~np.isnan(keypoints_px).any(axis=-1))
    if not there[ROOT] or there.sum() < 2:
        return np.zeros(3)
    pixels = np.linalg.norm(keypoints_px[there] - keypoints_px[ROOT], axis=-1).sum()
    metres = np.linalg.norm(pose_m[there, :2] - pose_m[ROOT, :2], axis=-1).sum()
    per_pixel = float(metres / max(pixels, 1e-6))
    return np.array([(keypoints_px[ROOT, 0] - size[0] / 2) * per_pixel, 0.0, -_FOCAL * max(size) * per_pixel])


def distances_mm(poses_m: npt.NDArray[Any], others_m: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return how far poses ``(..., 17, 3)`` are from others ``(...)``: mean over the joints with root on root, mm."""
    one, other = np.asarray(poses_m, np.float64), np.asarray(others_m, np.float64)
    apart = (one - one[..., ROOT : ROOT + 1, :]) - (other - other[..., ROOT : ROOT + 1, :])
    return np.asarray(1000 * np.linalg.norm(apart, axis=-1).mean(axis=-1))


def faint_joints(filled: npt.NDArray[Any], scores: npt.NDArray[Any]) -> Flags:
    """Say which joints are drawn faintly: those that were filled, and those that the detector was unsure of."""
    return np.asarray(filled | (scores < SURE))


class LiftedFigures:
    """The figures of each frame of lifted poses, asked for in order."""

    def __init__(self, lifted: Lifted, size: tuple[int, int], against: Lifted | None = None) -> None:
        """``size`` of the source's picture; ``against``: the same people's poses by another network."""
        self._against = None if against is None else y_up(against)
        self._stage = Arrangement(size)
        self._lifted = y_up(lifted)
        self._faint = faint_joints(lifted.filled, lifted.scores)

    def at(self, frame: int, time_s: float) -> list[Figure]:
        """Return the people seen in frame number ``frame``."""
        lifted = self._lifted
        place = frame - int(lifted.frames[0]) if len(lifted.frames) else -1
        if not 0 <= place < len(lifted.frames):
            return []
        people = [
            Figure(
                int(lifted.ids[person]),
                lifted.poses_m[person, place],
                lifted.keypoints_px[person, place],
                self._faint[person, place],
                self._other(int(person), place),
            )
            for person in np.flatnonzero(lifted.seen[:, place])
        ]
        return self._stage.put(people, time_s)

    def _other(self, person: int, place: int) -> Floats | None:
        """Return the other network's pose, if there is one."""
        if self._against is None or not self._against.seen[person, place]:
            return None
        return np.asarray(self._against.poses_m[person, place])
