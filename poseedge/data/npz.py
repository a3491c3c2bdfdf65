"""Read VideoPose3D-style npz files, whose members are pickled dictionaries, without running what they name."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.errors import DataError


class _Refused(Exception):
    """A pickle names something other than arrays and plain containers."""


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _Refused(f"it encodes as {encoding}")
    return text.encode("latin1")


# What a pickled dictionary of arrays needs, whatever numpy wrote it; nothing is ever imported by the name in the file.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,  # bytes in protocol 2
    ("collections", "OrderedDict"): collections.OrderedDict,
}
for _module in ("numpy.core", "numpy._core"):  # numpy 1.x, numpy 2.x
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = np.zeros(1).__reduce_ex__(2)[0]
    _ALLOWED[f"{_module}.multiarray", "scalar"] = np.float64(0).__reduce_ex__(2)[0]
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = np.zeros(1).__reduce_ex__(5)[0]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _Refused(f"it names {module}.{name}")
        return _ALLOWED[module, name]


def read_npz(path: Path) -> dict[str, Any]:
    """Return the members of ``path`` by name: arrays as they are, pickled zero-dimensional objects as what they hold.

    Raises ``DataError`` if the file is missing, is no npz, or holds a pickle of anything but arrays and containers.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", "check the folder given with --data")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy"): _read_member(archive.read(name)) for name in archive.namelist()}
    except _Refused as error:
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


def _read_member(content: bytes) -> Any:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read_header(stream)
    if not dtype.hasobject:
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    array = _Unpickler(stream, encoding="latin1").load()
    if not isinstance(array, np.ndarray):
        raise ValueError(f"expected a pickled array, found {type(array).__name__}")
    return array.item() if array.ndim == 0 else array
