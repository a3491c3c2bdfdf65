"""Write a data set in the VideoPose3D layout that ``h36m`` reads."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from poseedge.errors import DataError
from poseedge.files import atomic_folder, atomic_write
from poseedge.skeleton import LEFT, NUM_JOINTS, RIGHT

METADATA = {"layout_name": "h36m", "num_joints": NUM_JOINTS, "keypoints_symmetry": [list(LEFT), list(RIGHT)]}
_DATE = (2000, 1, 1, 0, 0, 0)  # of all members: the same content gives the same bytes


def write_dataset(folder: Path, name: str, motion: Any, tracks: Mapping[str, Any], rig: Mapping[str, Any]) -> None:
    """Write ``folder`` whole or not at all.

    ``motion``: subject -> action -> ``(T, 17, 3)`` world metres. ``tracks``: kind of keypoints -> subject -> action ->
    one ``(T, 17, 2)`` in pixels per camera. ``rig``: what ``cameras_<name>.json`` says. Raises ``DataError`` if
    ``folder`` holds anything already.
    """
    with atomic_folder(folder, refuse_folder) as temporary:
        write_npz(temporary / f"data_3d_{name}.npz", positions_3d=motion)
        for kind, views in tracks.items():
            write_tracks(temporary / f"data_2d_{name}_{kind}.npz", views)
        (temporary / f"cameras_{name}.json").write_text(json.dumps(rig, indent=1) + "\n")


def refuse_folder(folder: Path) -> NoReturn:
    """Raise ``DataError``: a data set takes the place of nothing."""
    raise DataError(f"{folder}: exists already, and will not be replaced", "choose another folder with -o")


def write_tracks(path: Path, tracks: Any) -> None:
    """Write one file of keypoints: subject -> action -> one ``(T, 17, 2)`` in pixels per camera."""
    with atomic_write(path) as temporary:
        write_npz(temporary, positions_2d=tracks, metadata=METADATA)


def write_npz(path: Path, **members: Any) -> None:
    """Write pickled members as VideoPose3D does, readable by numpy 1 and 2."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in members.items():
            box = np.empty((), dtype=object)
            box[()] = value
            content = io.BytesIO()
            np.lib.format.write_array_header_1_0(content, {"descr": "|O", "fortran_order": False, "shape": ()})
            # Protocol 3 spells names out in a line; numpy 2 calls one module by a name that numpy 1 does not know.
            body = pickle.dumps(box, protocol=3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _DATE), content.getvalue() + body, zipfile.ZIP_DEFLATED, 9)
