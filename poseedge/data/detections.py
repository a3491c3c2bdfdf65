"""2D keypoints for motion that is there: a detector's, or the exact projections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.arrays import Float32Array
from poseedge.data.cameras import Camera, denormalize_screen, project, world_to_camera
from poseedge.data.convert import seen
from poseedge.data.h36m import checked_array, dataset_name, finite, layout_member, rig_path, world_joints
from poseedge.data.keypoints import coco_to_h36m
from poseedge.data.npz import read_arrays, read_npz
from poseedge.data.rig import read_rig
from poseedge.data.writer import write_tracks
from poseedge.errors import DataError
from poseedge.skeleton import NUM_JOINTS

READ: dict[str, Callable[[Float32Array], Float32Array]] = {
    "coco": lambda pixels: np.asarray(coco_to_h36m(pixels), np.float32),
    "h36m": lambda pixels: pixels,
}
LAYOUTS = tuple(READ)


@dataclass(frozen=True)
class RecordedMotion:
    """The motion and cameras of a data set folder, and the file of keypoints that is to be written beside them."""

    target: Path
    positions: dict[str, dict[str, Float32Array]]  # subject -> action -> (T, 17, 3) world metres
    cameras: dict[str, tuple[Camera, ...]]

    def clips(self) -> Iterator[tuple[str, str, Float32Array, tuple[Camera, ...]]]:
        """Yield subject, action, motion and cameras of each clip."""
        for subject, actions in self.positions.items():
            for action, world in actions.items():
                yield subject, action, world, self.cameras.get(subject, ())


def read_motion(folder: Path, kind: str) -> RecordedMotion:
    """Read what ``data_2d_<name>_<kind>.npz`` is to be made for; raises ``DataError`` if it is there already."""
    name = dataset_name(folder)
    target, path = folder / f"data_2d_{name}_{kind}.npz", folder / f"data_3d_{name}.npz"
    if target.exists():
        raise DataError(f"{target}: exists already, and will not be replaced", "choose another --kind, or remove it")
    positions = {
        subject: {action: world_joints(value, f"{path}: {subject} {action!r}") for action, value in actions.items()}
        for subject, actions in layout_member(path, "positions_3d").items()
    }
    return RecordedMotion(target, positions, read_rig(rig_path(folder, name)).cameras)


def project_motion(folder: Path, kind: str = "gt") -> dict[str, Any]:
    """Write the exact projections of a data set's motion, lens distortion included; return what was written.

    For Human3.6M these are the ground-truth keypoints that VideoPose3D makes.
    """
    motion = read_motion(folder, kind)
    tracks: dict[str, dict[str, Any]] = {}
    for subject, action, world, cameras in motion.clips():
        if not cameras:
            raise DataError(f"{folder}: no cameras for subject {subject!r}", "docs/data.md shows the cameras file")
        tracks.setdefault(subject, {})[action] = [seen(world, camera, f"{subject} {action!r}") for camera in cameras]
    write_tracks(motion.target, tracks)
    return {"file": str(motion.target), "clips": sum(map(len, tracks.values())), "from": "motion"}


def convert_keypoints(source: Path, folder: Path, kind: str, layout: str | None) -> dict[str, Any]:
    """Write detections beside the motion they belong to, as ``data_2d_<name>_<kind>.npz``; return what was written.

    ``source``: an npz in VideoPose3D's layout (Detectron, CPN, ...), or a folder ``subject/action/camera.npy``. Joints in
    COCO order become Human3.6M's. ``layout``: coco or h36m; by default what the npz's metadata says, else the one that
    lies nearer to the motion.
    """
    motion = read_motion(folder, kind)
    content = read_npz(source) if source.is_file() else {"positions_2d": _tree(source, motion.cameras)}
    found = content.get("positions_2d")
    if not isinstance(found, dict):
        raise DataError(f"{source}: expected a dictionary 'positions_2d', found: {', '.join(content) or 'nothing'}")
    pixels: dict[tuple[str, str], list[Float32Array]] = {}
    for subject, action, world, cameras in motion.clips():
        where = f"{source}: {subject} {action!r}"
        views = found.get(subject, {}).get(action)
        if views is None or len(views) != len(cameras):
            count = 0 if views is None else len(views)
            raise DataError(f"{where}: {count} tracks for {len(cameras)} cameras", "detections must cover every clip")
        pixels[subject, action] = [_pixels(view, len(world), where) for view in views]
    layout = layout or _stated(content.get("metadata")) or _nearest_layout(motion, pixels)
    if layout not in LAYOUTS:
        raise DataError(f"{source}: joints in the order {layout!r}", f"say which it is with --layout: {' or '.join(LAYOUTS)}")
    tracks: dict[str, dict[str, Any]] = {}
    for (subject, action), views in pixels.items():
        tracks.setdefault(subject, {})[action] = [READ[layout](view) for view in views]
    write_tracks(motion.target, tracks)
    return {"file": str(motion.target), "clips": sum(map(len, tracks.values())), "from": layout}


def _stated(metadata: Any) -> str | None:
    """Return the order of joints that an npz's metadata names."""
    return str(metadata["layout_name"]) if isinstance(metadata, dict) and "layout_name" in metadata else None


def _nearest_layout(motion: RecordedMotion, pixels: dict[tuple[str, str], list[Float32Array]]) -> str:
    """Return the order of joints in which keypoints lie nearest to the motion."""
    apart: dict[str, list[float]] = {layout: [] for layout in LAYOUTS}
    for subject, action, world, cameras in motion.clips():
        frames = np.unique(np.linspace(0, len(world) - 1, 5).astype(int))
        for view, camera in zip(pixels[subject, action], cameras, strict=True):
            exact = denormalize_screen(
                project(world_to_camera(world[frames], camera), camera.intrinsics), camera.width, camera.height
            )
            for layout in LAYOUTS:
                apart[layout].append(float(np.linalg.norm(READ[layout](view[frames]) - exact, axis=-1).mean()))
    return min(LAYOUTS, key=lambda layout: float(np.median(apart[layout])))


def _pixels(view: Any, frames: int, where: str) -> Float32Array:
    pixels = checked_array(view, (NUM_JOINTS,), None, where)[:frames, :, :2]
    if len(pixels) < frames:
        raise DataError(f"{where}: {len(pixels)} frames of 2D for {frames} of motion")
    return np.asarray(finite(pixels, where), np.float32)


def _tree(source: Path, cameras: dict[str, tuple[Camera, ...]]) -> dict[str, Any]:
    """Return the tracks of a folder ``subject/action/camera.npy``."""
    if not source.is_dir():
        raise DataError(f"{source}: no such file or folder", "give an npz of detections or a folder subject/action/camera.npy")
    tracks: dict[str, Any] = {}
    for subject, rig in cameras.items():
        for folder in sorted(path for path in (source / subject).glob("*") if path.is_dir()):
            views = [next(iter(read_arrays(folder / f"{camera.id}.npy").values())) for camera in rig]
            tracks.setdefault(subject, {})[folder.name] = views
    return tracks
