"""Motion as all readers give it: sequences of keypoints and joints, and data sets of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from poseedge.arrays import BoolArray, FloatArray
from poseedge.data.cameras import Camera
from poseedge.errors import DataError


@dataclass(frozen=True)
class PoseSequence:
    """One subject's action as one camera sees it."""

    subject: str
    action: str
    camera: Camera
    keypoints: FloatArray  # (T, 17, 2) float32, normalized screen coordinates
    joints_m: FloatArray  # (T, 17, 3) float32, camera axes, metres, absolute
    valid: BoolArray | None = None  # (T,) frames whose ground truth counts; None: all do

    @property
    def counted(self) -> BoolArray:
        """Which frames are scored, ``(T,)``; the others serve as context."""
        return np.ones(len(self), np.bool_) if self.valid is None else self.valid

    @property
    def name(self) -> str:
        """Subject, action and camera in one string."""
        return f"{self.subject}/{self.action}/{self.camera.id}"

    @property
    def category(self) -> str:
        """The action without its take number, which is what action-wise averages group by."""
        return self.action.split(" ")[0]

    def check_focal_length(self, purpose: str, hint: str) -> None:
        """Raise ``DataError`` if the camera's focal length is not known, which ``purpose`` needs."""
        if not self.camera.intrinsics[:2].all():
            raise DataError(f"{self.name}: no focal length is known, and {purpose} needs it", hint)

    @cached_property
    def relative_m(self) -> FloatArray:
        """Root-relative joints ``(T, 17, 3)``: the target of every lifter here."""
        return self.joints_m - self.joints_m[:, :1]

    def __len__(self) -> int:
        return len(self.keypoints)


@dataclass(frozen=True)
class PoseDataset:
    """All sequences of a data set with one kind of 2D keypoints."""

    name: str
    keypoints: str
    fps: float
    train: tuple[str, ...]
    test: tuple[str, ...]
    sequences: tuple[PoseSequence, ...]

    def of(self, subjects: Iterable[str]) -> PoseDataset:
        """Return the sequences of ``subjects`` only, in their order. Raises ``DataError`` if the data set has none of one."""
        wanted, known = tuple(dict.fromkeys(subjects)), {s.subject for s in self.sequences}
        if missing := set(wanted) - known:
            raise DataError(f"{self.name}: no subject {', '.join(sorted(missing))}", f"it holds {', '.join(sorted(known))}")
        return replace(self, sequences=tuple(s for subject in wanted for s in self.sequences if s.subject == subject))

    @property
    def frames(self) -> int:
        """Frames over all sequences, each camera counted."""
        return sum(len(s) for s in self.sequences)
