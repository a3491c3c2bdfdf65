"""The cameras file of a data set: which cameras see each subject, the frame rate and the split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from poseedge.contract import Contract, parsed
from poseedge.data.cameras import Camera
from poseedge.errors import DataError
from poseedge.files import read_json

_HINT = "docs/data.md shows the cameras file, field by field"


Number = Annotated[float, Field(ge=-1e9, le=1e9)]
Two = Annotated[list[Number], Field(min_length=2, max_length=2)]
Three = Annotated[list[Number], Field(min_length=3, max_length=3)]
Four = Annotated[list[Number], Field(min_length=4, max_length=4)]
Pixels = Annotated[float, Field(gt=0, lt=1e6, multiple_of=1)]


class CameraEntry(Contract):
    """One camera as the file has it: pixels and metres, under VideoPose3D's names."""

    id: str | int
    res_w: Pixels
    res_h: Pixels
    focal_length: Two
    center: Two
    radial_distortion: Three
    tangential_distortion: Two
    orientation: Four  # unit quaternion (w, x, y, z)
    translation: Three


class CamerasFile(Contract):
    """The whole file; ``cameras`` by subject, in the order of its 2D tracks."""

    fps: Annotated[float, Field(gt=0)]
    train: list[str]
    test: list[str]
    cameras: dict[str, list[CameraEntry]]
    origin: str | None = None


@dataclass(frozen=True)
class Rig:
    """What ``cameras_<name>.json`` says. ``cameras`` lists each subject's cameras in the order of its 2D tracks."""

    fps: float
    train: tuple[str, ...]
    test: tuple[str, ...]
    cameras: dict[str, tuple[Camera, ...]]
    entries: dict[str, list[dict[str, Any]]]  # the same as the file has them
    origin: str | None  # of the motion


def read_rig(path: Path) -> Rig:
    """Read a cameras file. Raises ``DataError`` naming the file and the field at fault."""
    if not path.exists():
        raise DataError(f"{path}: no such file", f"every data set but Human3.6M brings its cameras; {_HINT}")
    content = read_json(path, "not a cameras file", DataError, _HINT)
    file = parsed(CamerasFile, content, str(path), _HINT, DataError)
    return Rig(
        fps=file.fps,
        train=tuple(file.train),
        test=tuple(file.test),
        cameras={subject: _cameras(entries, f"{path}: {subject}") for subject, entries in content["cameras"].items()},
        entries=content["cameras"],
        origin=file.origin,
    )


def _cameras(entries: list[dict[str, Any]], where: str) -> tuple[Camera, ...]:
    cameras = [Camera.from_pixels(entry) for entry in entries]
    for camera in cameras:
        _check(camera, f"{where} camera {camera.id}")
    return tuple(cameras)


def _check(camera: Camera, where: str) -> None:
    sizes = {"intrinsics": (camera.intrinsics, 9), "orientation": (camera.orientation, 4), "translation": (camera.translation, 3)}
    for field, (values, size) in sizes.items():
        if values.shape != (size,) or not np.isfinite(values).all():
            raise DataError(f"{where}: {field} should be {size} finite numbers, found {values.tolist()}", _HINT)
    norm = float(np.linalg.norm(camera.orientation))
    if abs(norm - 1) > 1e-3:
        raise DataError(f"{where}: orientation should be a unit quaternion (w, x, y, z), found length {norm:.3f}", _HINT)
