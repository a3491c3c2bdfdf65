"""numpy's files from anywhere: their headers are looked at before anything is made of the size that they state."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.data.npz import read_npz
from poseedge.errors import DataError

MOST_BYTES = 4 << 30  # of a file's arrays, unpacked: 16 hours of 133 joints of three numbers, as float64


def array_members(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the numeric arrays of an ``.npy`` or ``.npz`` file by name, whatever its suffix says."""
    if zipfile.is_zipfile(path):
        content = objects(path)
    else:
        try:
            content = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False)}
        except Exception as error:  # a damaged header may raise anything
            raise DataError(f"{path}: not a readable npy file ({error})", "it may be truncated; write it again") from error
    for name, array in content.items():
        if not isinstance(array, np.ndarray) or not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
            raise DataError(f"{path}: expected arrays of numbers, but {name!r} is none", "poseedge lift --help lists the formats")
    return content


def objects(path: Path) -> dict[str, Any]:
    """Return the members of an npz as ``read_npz`` does, unless they unpack to more than any video has."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except Exception as error:  # as in read_npz
        raise DataError(f"{path}: not a readable npz file ({error})", "it may be truncated; write it again") from error
    if unpacked > MOST_BYTES:
        raise DataError(f"{path}: unpacks to {unpacked / 2**30:.0f} GiB, more than any video's keypoints")
    return read_npz(path)
