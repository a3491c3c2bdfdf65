"""Data set folders in VideoPose3D layout, written for a test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.data.npz import read_npz
from poseedge.resources import resource

MINI = resource("calib_data", "mocap17-mini")


@dataclass
class Folder:
    """The content of a data set folder; a test bends it before writing it."""

    name: str
    motion: Any
    tracks: Any
    rig: dict[str, Any] | None
    keypoints: str = "gt"

    @property
    def cameras(self) -> dict[str, Any]:
        assert self.rig is not None
        cameras: dict[str, Any] = self.rig["cameras"]
        return cameras

    def path_3d(self, folder: Path) -> Path:
        return folder / f"data_3d_{self.name}.npz"

    def path_2d(self, folder: Path) -> Path:
        return folder / f"data_2d_{self.name}_{self.keypoints}.npz"

    def path_rig(self, folder: Path) -> Path:
        return folder / f"cameras_{self.name}.json"

    def write(self, folder: Path) -> Path:
        np.savez(self.path_3d(folder), positions_3d=as_object(self.motion))
        np.savez(self.path_2d(folder), positions_2d=as_object(self.tracks), metadata=as_object({"num_joints": 17}))
        if self.rig is not None:
            self.path_rig(folder).write_text(json.dumps(self.rig))
        return folder


def as_object(value: Any) -> Any:
    """Wrap anything in the zero-dimensional object array that VideoPose3D stores."""
    array = np.empty((), object)
    array[()] = value
    return array


def excerpt() -> Folder:
    """Return two short takes of the bundled set: S1 ``Walking 1`` and S9 ``Walking 1``, eight frames each."""
    motion = read_npz(MINI / "data_3d_mocap17-mini.npz")["positions_3d"]
    tracks = read_npz(MINI / "data_2d_mocap17-mini_gt.npz")["positions_2d"]
    rig = json.loads((MINI / "cameras_mocap17-mini.json").read_text())
    takes = {"S1": "Walking 1", "S9": "Walking 1"}
    return Folder(
        name="excerpt",
        motion={subject: {action: motion[subject][action][:8].copy()} for subject, action in takes.items()},
        tracks={subject: {action: [t[:8].copy() for t in tracks[subject][action]]} for subject, action in takes.items()},
        rig={key: rig[key] for key in ("fps", "train", "test", "cameras")},
    )
