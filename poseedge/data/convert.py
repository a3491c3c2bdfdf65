"""Own captures into the layout that everything here reads: motion from arrays, BVH and Acclaim files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.arrays import AnyArray, Float32Array, Float64Array
from poseedge.data import asf_amc
from poseedge.data.bvh import JOINTS, human36m_joints, read_bvh, world_positions
from poseedge.data.cameras import Camera, denormalize_screen, in_picture, project, world_to_camera
from poseedge.data.h36m import checked_array, finite
from poseedge.data.npz import read_arrays
from poseedge.data.rig import read_rig
from poseedge.data.ring import ring
from poseedge.data.writer import write_dataset
from poseedge.errors import DataError
from poseedge.skeleton import NUM_JOINTS

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "cmu": 0.0254 / 0.45}  # metres in one; cmu: what the CMU database counts in
SIZES_M = 0.7, 2.6  # of a person, largest distance between two joints, in the middle frame of all
RATE = 50.0  # frames per second of Human3.6M, at which networks are trained


@dataclass(frozen=True)
class MotionClip:
    """One recording in the layout's terms."""

    subject: str
    action: str
    world: Float64Array  # (T, 17, 3) metres, z up


@dataclass(frozen=True)
class Reading:
    """How recordings are to be read."""

    subject: str | None = None  # default: the name of the file's folder
    units: str = "auto"  # a key of ``UNITS``; auto goes by the size of the person
    up: str | None = None  # axis that points up: y or z; default z in arrays, else y
    fps: float | None = None  # default: 50 of arrays, 120 of AMC; BVH states its own
    rate: float = RATE  # to which motion is brought
    joints: Path | None = None  # names of BVH or ASF joints, a file like ``bvh_joints.toml``


def read_motion_clip(path: Path, how: Reading) -> MotionClip:
    """Read one recording: ``.npy`` or ``.npz`` with ``(T, 17, 3)`` in Human3.6M order, ``.bvh``, or ``.amc``.

    The action is the file's name with ``_`` as spaces. Motion of another rate is interpolated linearly.
    """
    fps, up = how.fps or RATE, how.up or "z"
    if path.suffix.lower() == ".bvh":
        recording = read_bvh(path)
        world, fps, up = human36m_joints(world_positions(recording), how.joints or JOINTS, path), recording.fps, how.up or "y"
    elif path.suffix.lower() == ".amc":
        skeleton = asf_amc.read_asf(asf_amc.skeleton_of(path))
        ends = asf_amc.world_positions(skeleton, asf_amc.read_amc(path, skeleton))
        world = human36m_joints(ends, how.joints or asf_amc.JOINTS, path)
        fps, up = how.fps or asf_amc.FPS, how.up or "y"
    else:
        arrays = read_arrays(path)
        if len(arrays) != 1:
            raise DataError(
                f"{path}: expected one array (T, 17, 3), found members {', '.join(arrays)}", "keep one motion per file"
            )
        world = np.asarray(checked_array(next(iter(arrays.values())), (NUM_JOINTS,), 3, str(path)), np.float64)
    finite(world, str(path))
    world = world * scale(world, how.units, path)
    if up == "y":
        world = np.stack([world[..., 0], -world[..., 2], world[..., 1]], axis=-1)
    return MotionClip(how.subject or path.resolve().parent.name, path.stem.replace("_", " "), resampled(world, fps, how.rate))


def scale(world: Float64Array, units: str, where: Path) -> float:
    """Return metres per unit."""
    if units != "auto":
        return UNITS[units]
    size = float(np.median(np.linalg.norm(world[:, :, None] - world[:, None], axis=-1).max(axis=(1, 2))))
    fitting = [metres for metres in UNITS.values() if SIZES_M[0] <= size * metres <= SIZES_M[1]]
    if len(fitting) != 1:
        raise DataError(f"{where}: a person {size:.3g} units large, of no known unit", f"say it with --units: {', '.join(UNITS)}")
    return fitting[0]


def resampled(world: Float64Array, fps: float, rate: float) -> Float64Array:
    """Return motion of ``fps`` at ``rate`` frames per second, linearly interpolated."""
    if fps == rate:
        return world
    times = np.arange(0, (len(world) - 1) * rate / fps + 1e-6) * fps / rate  # in frames of the recording
    before = np.minimum(times.astype(int), len(world) - 1)
    share = (times - before)[:, None, None]
    return world[before] * (1 - share) + world[np.minimum(before + 1, len(world) - 1)] * share


def convert(
    clips: list[MotionClip], folder: Path, name: str, cameras: Path | None = None, test: Sequence[str] = (), rate: float = RATE
) -> dict[str, Any]:
    """Write ``clips`` as data set ``name`` with exact keypoints; return what was written.

    Without a ``cameras`` file every clip is centred on the ground, and four made-up cameras stand around it, far enough
    to see every joint. Raises ``DataError`` for two clips of one name, and where a camera has a joint behind it.
    """
    motion: dict[str, dict[str, Any]] = {}
    for clip in clips:
        if clip.action in motion.setdefault(clip.subject, {}):
            raise DataError(f"two recordings are {clip.subject} {clip.action!r}", "rename a file, or use folders as subjects")
        motion[clip.subject][clip.action] = clip.world if cameras else centred(clip.world)
    if unknown := set(test) - motion.keys():
        raise DataError(f"no recording of test subject {', '.join(sorted(unknown))}", f"subjects are {', '.join(motion)}")
    entries = camera_entries(cameras, motion)
    tracks: dict[str, dict[str, Any]] = {}
    inside = []
    for subject, actions in motion.items():
        rig = [Camera.from_pixels(entry) for entry in entries[subject]]
        tracks[subject] = {}
        for action, world in actions.items():
            motion[subject][action] = world = world.astype(np.float32)
            views = [seen(world, camera, f"{subject} {action!r}") for camera in rig]
            inside += [in_picture(view, camera) for view, camera in zip(views, rig, strict=True)]
            tracks[subject][action] = views
    facts = {
        "name": name,
        "fps": rate,
        "train": [s for s in motion if s not in test],
        "test": [s for s in motion if s in test],
        "cameras": entries,
    }
    write_dataset(folder, name, motion, {"gt": tracks}, facts)
    frames = sum(len(world) for actions in motion.values() for world in actions.values())
    share = float(np.concatenate(inside).mean())
    return {**facts, "folder": str(folder), "clips": len(clips), "frames": frames, "in_picture": share}


def centred(world: Float64Array) -> Float64Array:
    """Return motion with its mean pelvis over the origin of the ground."""
    return world - np.append(world[:, 0, :2].mean(axis=0), 0.0)


def camera_entries(path: Path | None, motion: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the cameras of each subject, as a cameras file lists them."""
    if path is None:
        return {s: ring(np.concatenate(list(actions.values()))) for s, actions in motion.items()}
    rig = read_rig(path)
    if missing := [s for s in motion if not rig.cameras.get(s)]:
        raise DataError(f"{path}: no cameras for subject {missing[0]!r}", f"it has {', '.join(rig.cameras)}")
    return {s: rig.entries[s] for s in motion}


def seen(world: AnyArray, camera: Camera, where: str) -> Float32Array:
    """Return the pixels ``(T, 17, 2)`` of a motion."""
    points = world_to_camera(world, camera)
    if (points[..., 2] <= 0).any():
        frame = int(np.argwhere(points[..., 2] <= 0)[0, 0])
        raise DataError(f"{where}: a joint is behind camera {camera.id} in frame {frame}", "check units, axes and cameras")
    return np.asarray(denormalize_screen(project(points, camera.intrinsics), camera.width, camera.height), np.float32)
