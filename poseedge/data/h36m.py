"""Human3.6M in the VideoPose3D npz layout, and any data set stored the same way.

A folder holds ``data_3d_<name>.npz`` (world metres), ``data_2d_<name>_<keypoints>.npz`` (pixels, one track per camera)
and, for data sets other than Human3.6M, ``cameras_<name>.json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.arrays import FloatArray
from poseedge.data.cameras import Camera, normalize_screen, world_to_camera
from poseedge.data.npz import read_npz
from poseedge.data.rig import read_rig
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.errors import DataError
from poseedge.skeleton import KEPT_OF_32, NUM_JOINTS

_H36M_CAMERAS = Path(__file__).with_name("cameras_h36m.json")
_LAYOUT_HINT = "the layout is VideoPose3D's: docs/data.md shows it, member by member"


def available_keypoints(folder: Path) -> list[str]:
    """Return the kinds of 2D keypoints that ``folder`` holds, such as ``gt``, ``detected`` or ``cpn_ft_h36m_dbb``."""
    name = dataset_name(folder)
    prefix = f"data_2d_{name}_"
    return sorted(path.stem.removeprefix(prefix) for path in folder.glob(f"{prefix}*.npz"))


def dataset_name(folder: Path) -> str:
    """Return the ``<name>`` of the one ``data_3d_<name>.npz`` in ``folder``."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such data folder", "give the folder that holds data_3d_*.npz with --data")
    found = sorted(folder.glob("data_3d_*.npz"))
    if len(found) != 1:
        held = ", ".join(p.name for p in found) or "none"
        raise DataError(
            f"{folder}: expected exactly one data_3d_<name>.npz, found {held}", "one folder per data set; see docs/data.md"
        )
    return found[0].stem.removeprefix("data_3d_")


def load_dataset(folder: Path, keypoints: str = "gt") -> PoseDataset:
    """Read a data set folder; world joints become camera-space joints, pixels become normalized screen coordinates.

    Detections longer than the motion are cut to its length. Raises ``DataError`` naming the file, subject and action
    of the first thing that is not as the layout says.
    """
    name = dataset_name(folder)
    keypoints = Path(keypoints).name.removesuffix(".npz").removeprefix(f"data_2d_{name}_")  # the file's name will do
    path_3d, path_2d = folder / f"data_3d_{name}.npz", folder / f"data_2d_{name}_{keypoints}.npz"
    if not path_2d.is_file():
        held = ", ".join(available_keypoints(folder)) or "none"
        raise DataError(f"{path_2d}: no such file", f"2D keypoints in this folder: {held}")
    positions, tracks = layout_member(path_3d, "positions_3d"), layout_member(path_2d, "positions_2d")
    rig = read_rig(rig_path(folder, name))
    sequences: list[PoseSequence] = []
    for subject, actions in positions.items():
        if not rig.cameras.get(subject):
            raise DataError(f"{rig_path(folder, name)}: no cameras for subject {subject!r} of {path_3d.name}", _LAYOUT_HINT)
        if subject not in tracks:
            raise DataError(f"{path_2d}: subject {subject!r} of {path_3d.name} is missing", _LAYOUT_HINT)
        for action, value in actions.items():
            world = world_joints(value, f"{path_3d}: {subject} {action!r}")
            views = _views(tracks[subject].get(action), rig.cameras[subject], len(world), f"{path_2d}: {subject} {action!r}")
            for camera, screen in zip(rig.cameras[subject], views, strict=True):
                sequences.append(PoseSequence(subject, action, camera, screen, world_to_camera(world, camera)))
    if not sequences:
        raise DataError(f"{path_3d}: holds no motion", _LAYOUT_HINT)
    seen = {(subject, action): number for number, (subject, action) in enumerate(_members(tracks))}
    sequences.sort(key=lambda s: seen[s.subject, s.action])  # as the published code walks them: batches depend on it
    known = {s.subject for s in sequences}
    return PoseDataset(
        name=name,
        keypoints=keypoints,
        fps=rig.fps,
        train=tuple(s for s in rig.train if s in known),
        test=tuple(s for s in rig.test if s in known),
        sequences=tuple(sequences),
    )


def _members(member: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield subject and action of what a file holds, in its order."""
    for subject, actions in member.items():
        for action in actions:
            yield subject, action


def rig_path(folder: Path, name: str) -> Path:
    """Return the cameras file of data set ``name``; Human3.6M's comes with poseedge."""
    path = folder / f"cameras_{name}.json"
    return _H36M_CAMERAS if name == "h36m" and not path.is_file() else path


def world_joints(value: Any, where: str) -> FloatArray:
    """Return the 17 joints ``(T, 17, 3)`` of a motion of 17 or of Human3.6M's 32."""
    world = checked_array(value, (NUM_JOINTS, 32), 3, where)
    return finite(world[:, list(KEPT_OF_32)] if world.shape[1] == 32 else world, where)


def _views(tracks: Any, cameras: tuple[Camera, ...], frames: int, where: str) -> list[FloatArray]:
    """Return one ``(T, 17, 2)`` in normalized screen coordinates per camera, cut to the ``frames`` of the motion."""
    if isinstance(tracks, dict):  # one entry a camera, by its number or name
        tracks = [tracks[key] for key in sorted(tracks, key=lambda key: str(key).zfill(8))]
    found = len(tracks) if isinstance(tracks, (list, tuple, np.ndarray)) else 0
    if found != len(cameras):
        raise DataError(f"{where}: expected {len(cameras)} tracks, one per camera, found {found}", _LAYOUT_HINT)
    views = []
    for camera, track in zip(cameras, tracks, strict=True):
        here = f"{where} camera {camera.id}"
        pixels = checked_array(track, (NUM_JOINTS,), None, here)[:frames, :, :2]
        if len(pixels) < frames:
            raise DataError(f"{here}: {len(pixels)} frames of 2D for {frames} of motion", _LAYOUT_HINT)
        views.append(normalize_screen(finite(pixels, here), camera.width, camera.height))
    return views


def layout_member(path: Path, key: str) -> dict[str, Any]:
    """Return the member ``key`` of an npz file, a dictionary of dictionaries, or say what is there instead."""
    content = read_npz(path)
    if not isinstance(content.get(key), dict):
        held = ", ".join(content) or "nothing"
        raise DataError(f"{path}: expected a dictionary {key!r} (subject -> action -> array), found: {held}", _LAYOUT_HINT)
    member: dict[str, Any] = {}
    for subject, actions in content[key].items():
        if not isinstance(actions, dict):
            raise DataError(
                f"{path}: {key}[{subject!r}] should be a dictionary of actions, found {type(actions).__name__}", _LAYOUT_HINT
            )
        member[str(subject)] = {str(action): value for action, value in actions.items()}  # some write numbers
    return member


def checked_array(value: Any, joints: tuple[int, ...], channels: int | None, where: str) -> FloatArray:
    """Return ``value`` as float32 ``(T, J, C)`` in C order, J one of ``joints``, or say what is wrong with it."""
    shape: tuple[int, ...] = getattr(value, "shape", ())
    good = len(shape) == 3 and shape[1] in joints and (shape[2] == channels if channels else shape[2] >= 2)
    if not good or shape[0] == 0 or value.dtype.kind not in "fiu":
        wanted = f"numbers (T, {' or '.join(map(str, joints))}, {channels or '2 or more'})"
        found = f"{value.dtype} {shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise DataError(f"{where}: expected {wanted}, found {found}", _LAYOUT_HINT)
    return np.ascontiguousarray(value, dtype=np.float32)


def finite(array: FloatArray, where: str) -> FloatArray:
    """Return ``array (T, J, C)``, or say in which frame it is not finite."""
    if not np.isfinite(array).all():
        frame = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise DataError(f"{where}: NaN or infinity in frame {frame}", "fill or cut missing detections first")
    return array
