"""MPI-INF-3DHP in the two forms that the lifting repositories pass around.

One, of GraphMLP and NEHSNet: ``data_3d_3dhp.npz`` and ``data_2d_3dhp.npz``, subject -> action -> list over cameras, metres,
Human3.6M joint order. The other, of P-STMO and those after it: ``data_test_3dhp.npz`` and ``data_train_3dhp.npz``, one
member ``data``, millimetres, the joint order of the annotations, and a mark of the test frames that count.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.data.cameras import Camera, normalize_screen
from poseedge.data.h36m import checked_array, finite
from poseedge.data.npz import read_npz
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.errors import DataError
from poseedge.skeleton import NUM_JOINTS

POSES, KEYPOINTS = "data_3d_3dhp.npz", "data_2d_3dhp.npz"
TEST, TRAIN = "data_test_3dhp.npz", "data_train_3dhp.npz"
FILES = (POSES, KEYPOINTS, TEST, TRAIN)
TEST_SUBJECTS = ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
TRAIN_SUBJECTS = ("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8")
FPS = 25.0  # nominal: the files state none
WIDE = {"TS5": (1920, 1080), "TS6": (1920, 1080)}  # picture sizes; all others are 2048 x 2048

# The annotation's joint (head top, neck, right arm, left arm, right leg, left leg, pelvis, spine, head) of each Human3.6M joint.
FROM_ANNOTATION = (14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)

# Of the 28 joints that the annotation files of the training set hold: "relevant" in the data set's own mpii_get_joint_set.m.
RELEVANT = (7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6)

HOW_TO_GET = (
    "download MPI-INF-3DHP from https://vcai.mpi-inf.mpg.de/3dhp-dataset/ (its licence is for research) and make "
    f"{TEST} with P-STMO's common/data_to_npz_3dhp_test.py, or {POSES} and {KEYPOINTS} as GraphMLP's README says"
)
_LAYOUT_HINT = "docs/data.md shows both layouts of MPI-INF-3DHP"


def is_3dhp(folder: Path) -> bool:
    """Tell whether ``folder`` holds MPI-INF-3DHP; raises ``DataError`` if it holds another data set beside it."""
    found = [name for name in FILES if (folder / name).is_file()]
    others = [path.name for path in sorted(folder.glob("data_3d_*.npz")) if path.name != POSES]
    if found and others:
        raise DataError(f"{folder}: holds {found[0]} and {others[0]}, two data sets", "one folder per data set; see docs/data.md")
    return bool(found)


def load_3dhp(folder: Path, keypoints: str = "gt") -> PoseDataset:
    """Read MPI-INF-3DHP from ``folder``, in whichever form it is there.

    The keypoints are those of the files, whatever they were made of. No camera is known: intrinsics are zero. Raises
    ``DataError`` naming the file and sequence of the first thing that is not as the layout says.
    """
    if (folder / POSES).is_file() or (folder / KEYPOINTS).is_file():
        sequences = list(_by_camera(folder / POSES, folder / KEYPOINTS))
    elif any((folder / name).is_file() for name in (TEST, TRAIN)):
        sequences = [s for name in (TRAIN, TEST) if (folder / name).is_file() for s in _by_sequence(folder / name)]
    else:
        raise DataError(f"{folder}: holds no file of MPI-INF-3DHP", HOW_TO_GET)
    if not sequences:
        raise DataError(f"{folder}: the files of MPI-INF-3DHP hold no motion", HOW_TO_GET)
    known = {s.subject for s in sequences}
    return PoseDataset(
        name="3dhp",
        keypoints=keypoints,
        fps=FPS,
        train=tuple(s for s in TRAIN_SUBJECTS if s in known),
        test=tuple(s for s in TEST_SUBJECTS if s in known),
        sequences=tuple(sequences),
    )


def _by_camera(path_3d: Path, path_2d: Path) -> Iterator[PoseSequence]:
    """Yield the sequences of the form that lists cameras."""
    for path in (path_3d, path_2d):
        if not path.is_file():
            raise DataError(f"{path}: no such file, but its other half is there", HOW_TO_GET)
    poses, tracks = _member(path_3d, "positions_3d"), _member(path_2d, "positions_2d")
    for subject, actions in poses.items():
        for action, views in _dictionary(actions, f"{path_3d}: {subject}").items():
            seen: Any = _dictionary(tracks.get(subject), f"{path_2d}: {subject}").get(action)
            found = [len(v) if isinstance(v, (list, tuple, np.ndarray)) else 0 for v in (views, seen)]
            if found[0] != found[1] or not found[0]:
                raise DataError(f"{path_2d}: {subject} {action!r}: {found[1]} tracks for {found[0]} of motion", _LAYOUT_HINT)
            for number, (joints, pixels) in enumerate(zip(views, seen, strict=True)):
                here = f"{subject} {action!r} camera {number}"
                yield _sequence(subject, action, str(number), joints, pixels, None, f"{path_3d}: {here}", f"{path_2d}: {here}")


def _by_sequence(path: Path) -> Iterator[PoseSequence]:
    """Yield the sequences of the form with one member ``data``."""
    for name, value in _member(path, "data").items():
        subject, _, action = str(name).partition(" ")
        views = value[0] if isinstance(value, (list, tuple)) and value else {"0": value}
        for camera, content in _dictionary(views, f"{path}: {name}").items():
            where = f"{path}: {name} camera {camera}"
            if missing := {"data_2d", "data_3d"} - _dictionary(content, where).keys():
                raise DataError(f"{where}: missing {', '.join(sorted(missing))}", _LAYOUT_HINT)
            joints = _ordered(checked_array(content["data_3d"], (NUM_JOINTS, 28), 3, where)) / 1000
            pixels = _ordered(checked_array(content["data_2d"], (NUM_JOINTS, 28), None, where))
            yield _sequence(subject, action or "Seq1", str(camera), joints, pixels, content.get("valid"), where, where)


def _ordered(annotated: Any) -> Any:
    """Return the joints of the annotation, 17 or all 28 of them, in the order of Human3.6M."""
    joints = annotated[:, list(RELEVANT)] if annotated.shape[1] == 28 else annotated
    return joints[:, list(FROM_ANNOTATION)]


def _sequence(
    subject: str, action: str, camera: str, joints: Any, pixels: Any, valid: Any, where_3d: str, where_2d: str
) -> PoseSequence:
    joints = finite(checked_array(joints, (NUM_JOINTS,), 3, where_3d), where_3d)
    pixels = finite(checked_array(pixels, (NUM_JOINTS,), None, where_2d)[..., :2], where_2d)
    if len(joints) != len(pixels):
        raise DataError(f"{where_2d}: {len(pixels)} frames of 2D for {len(joints)} of motion", _LAYOUT_HINT)
    if valid is not None:
        valid = np.asarray(valid).reshape(-1).astype(bool)
        if len(valid) != len(joints):
            raise DataError(f"{where_3d}: 'valid' marks {len(valid)} frames of {len(joints)}", _LAYOUT_HINT)
        if not valid.any():
            raise DataError(f"{where_3d}: 'valid' marks no frame, so nothing of it would be scored", _LAYOUT_HINT)
    width, height = WIDE.get(subject, (2048, 2048))
    unknown = np.zeros(9, np.float32), np.array([1, 0, 0, 0], np.float32), np.zeros(3, np.float32)
    screen = normalize_screen(pixels, width, height)
    return PoseSequence(subject, action, Camera(camera, width, height, *unknown), screen, joints, valid)


def _member(path: Path, key: str) -> dict[str, Any]:
    content = read_npz(path)
    if not isinstance(content.get(key), dict):
        raise DataError(f"{path}: expected a dictionary {key!r}, found: {', '.join(content) or 'nothing'}", _LAYOUT_HINT)
    member: dict[str, Any] = content[key]
    return member


def _dictionary(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        found = "nothing" if value is None else type(value).__name__
        raise DataError(f"{where}: expected a dictionary, found {found}", _LAYOUT_HINT)
    return value
