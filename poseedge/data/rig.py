"""The cameras file of a data set: which cameras see each subject, the frame rate and the split."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.data.cameras import Camera
from poseedge.errors import DataError

_HINT = "docs/data.md shows the cameras file, field by field"


@dataclass(frozen=True)
class Rig:
    """What ``cameras_<name>.json`` says. ``cameras`` lists each subject's cameras in the order of its 2D tracks."""

    fps: float
    train: tuple[str, ...]
    test: tuple[str, ...]
    cameras: dict[str, tuple[Camera, ...]]
    entries: dict[str, list[dict[str, Any]]]  # the same as the file has them


def read_rig(path: Path) -> Rig:
    """Read a cameras file. Raises ``DataError`` naming the file and the field at fault."""
    try:
        content: Any = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file", f"every data set but Human3.6M brings its cameras; {_HINT}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a JSON file ({error})", _HINT) from error
    missing = {"cameras", "fps", "train", "test"} - (content.keys() if isinstance(content, dict) else set())
    if missing:
        raise DataError(f"{path}: missing {', '.join(sorted(missing))}", _HINT)
    try:
        return Rig(
            fps=float(content["fps"]),
            train=tuple(content["train"]),
            test=tuple(content["test"]),
            cameras={subject: _cameras(entries, f"{path}: {subject}") for subject, entries in content["cameras"].items()},
            entries=content["cameras"],
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a cameras file ({error})", _HINT) from error


def _cameras(entries: list[dict[str, Any]], where: str) -> tuple[Camera, ...]:
    cameras = []
    for number, entry in enumerate(entries):
        try:
            if entry["res_w"] <= 0 or entry["res_h"] <= 0:
                raise DataError(f"{where} camera {number}: image size {entry['res_w']} x {entry['res_h']} is not positive", _HINT)
            camera = Camera.from_pixels(entry)
        except KeyError as error:
            raise DataError(f"{where} camera {number}: missing {error}", _HINT) from error
        _check(camera, f"{where} camera {camera.id}")
        cameras.append(camera)
    return tuple(cameras)


def _check(camera: Camera, where: str) -> None:
    sizes = {"intrinsics": (camera.intrinsics, 9), "orientation": (camera.orientation, 4), "translation": (camera.translation, 3)}
    for field, (values, size) in sizes.items():
        if values.shape != (size,) or not np.isfinite(values).all():
            raise DataError(f"{where}: {field} should be {size} finite numbers, found {values.tolist()}", _HINT)
    norm = float(np.linalg.norm(camera.orientation))
    if abs(norm - 1) > 1e-3:
        raise DataError(f"{where}: orientation should be a unit quaternion (w, x, y, z), found length {norm:.3f}", _HINT)
