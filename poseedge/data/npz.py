"""Read VideoPose3D-style npz files, whose members are pickled dictionaries, without running what they name."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.data.pickles import RefusedPickle, read_pickle
from poseedge.errors import DataError

DENSEST = 100  # times smaller than its numbers: recorded motion is packed to a half at best, zeros to a thousandth
LITTLE = 1 << 26  # bytes that may be anything


def read_npz(path: Path) -> dict[str, Any]:
    """Return the members of ``path`` by name: arrays as they are, pickled zero-dimensional objects as what they hold.

    Raises ``DataError`` if the file is missing, is no npz, or holds a pickle of anything but arrays and containers.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", "check the folder given with --data")
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_bomb(path, archive)
            return {member.filename.removesuffix(".npy"): _read_member(archive, member) for member in archive.infolist()}
    except RefusedPickle as error:
        raise DataError(
            f"{path}: refused, its pickle may hold arrays and plain containers only, but {error}",
            "do not open this file with other tools; get the data set from its source again",
        ) from error
    except Exception as error:  # a damaged zip, header or pickle may raise anything
        raise DataError(f"{path}: not a readable npz file ({error})", "it may be truncated; get it again") from error


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the plain arrays of an ``.npy`` or ``.npz`` file by name; an ``.npy`` has one, under its own name.

    Raises ``DataError`` if the file is missing, damaged, or holds anything else.
    """
    if path.suffix != ".npy":
        content = read_npz(path)
    elif not path.is_file():
        raise DataError(f"{path}: no such file")
    else:
        try:
            content = {path.stem: np.load(path, allow_pickle=False)}
        except Exception as error:  # a damaged header may raise anything
            raise DataError(f"{path}: not a readable npy file ({error})", "it may be truncated; get it again") from error
    if odd := [name for name, value in content.items() if not isinstance(value, np.ndarray)]:
        raise DataError(f"{path}: expected arrays, but {odd[0]!r} is a {type(content[odd[0]]).__name__}")
    return content


def _refuse_bomb(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise ``ValueError`` for an archive that unpacks to far more than motion does, before anything is unpacked."""
    packed, unpacked = path.stat().st_size, sum(member.file_size for member in archive.infolist())
    if unpacked > max(LITTLE, DENSEST * packed):
        raise ValueError(f"{packed / 1e6:.1f} MB that unpack to {unpacked / 1e6:.0f} MB, which no motion does")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        start = stream.tell()
        if dtype.hasobject:
            array = read_pickle(io.BytesIO(stream.read()))
        elif member.file_size - start != (stated := math.prod(shape) * dtype.itemsize):
            raise ValueError(f"{member.filename} states {stated} bytes and holds {member.file_size - start}")
    if not dtype.hasobject:
        with archive.open(member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"expected a pickled array, found {type(array).__name__}")
    return array.item() if array.ndim == 0 else array
