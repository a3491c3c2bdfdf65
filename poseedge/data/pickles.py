"""Pickled arrays and containers, read without running what a pickle names and without handing numpy anything unchecked.

numpy's own unpickling trusts the file: a wrong byte in an array's state is enough to crash the process. The C unpickler
fills a table as long as the file asks for. So the pickle is read by Python's own reader, arrays and types are noted down
as the file describes them, and made once everything is there and fits.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import re
from typing import Any, Literal

import numpy as np

from poseedge.arrays import AnyArray

_PLAIN_TYPE = re.compile(r"b1|[iu][1248]|f[248]|f16|c8|c16|[US][1-9][0-9]{0,5}|O8?")


class RefusedPickle(Exception):
    """A pickle names something other than arrays and plain containers."""


def read_pickle(stream: io.BytesIO) -> Any:
    """Return what a pickle holds. Raises ``RefusedPickle``, or anything at all if the pickle is damaged."""
    return _made(_Unpickler(stream, encoding="latin1").load(), {})


class _Type:
    """A type of numbers as a pickle describes it: a name, and then a state of which the order of bytes is taken."""

    def __init__(self, name: Any, *_: Any) -> None:
        name = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(name, str) or not _PLAIN_TYPE.fullmatch(name):
            raise RefusedPickle(f"it holds an array of {name!r:.20}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        order: Any = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise RefusedPickle("it holds an array of structures")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array as a pickle describes it: made empty, then given shape, type, order and content."""

    def __init__(self, *_: Any) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.type: _Type | None = None
        self.fortran = False
        self.content: Any = b""
        self.axes: Any = None  # that a transposed array was stored by

    def __setstate__(self, state: Any) -> None:
        self.shape, self.type, self.fortran, self.content = state[-4:]

    def made(self) -> AnyArray:
        """Return the array; one of objects is still empty."""
        if not isinstance(self.type, _Type) or not all(type(length) is int and length >= 0 for length in self.shape):
            raise ValueError(f"an array of shape {self.shape!r:.40}")
        content = self.content.encode("latin1") if isinstance(self.content, str) else self.content  # of Python 2
        count, dtype = math.prod(self.shape), self.type.dtype
        order: Literal["C", "F"] = "F" if self.fortran else "C"
        size = 1 if dtype.hasobject else dtype.itemsize
        if not isinstance(content, list if dtype.hasobject else bytes | bytearray):
            raise ValueError(f"an array of {dtype} from {type(content).__name__}")
        if len(content) != count * size:
            raise ValueError(f"{len(content)} values or bytes for an array of {dtype} of shape {self.shape}")
        if isinstance(content, list):
            return np.empty(self.shape, object)  # its list goes by rows, whatever ``fortran`` says
        array = np.array(np.ndarray(self.shape, dtype, content, order=order), order="K")
        return array if self.axes is None else array.transpose(self.axes)


def _from_buffer(content: Any, of: Any, shape: Any, order: Any, axes: Any = None) -> _Array:
    """Protocol 5's way to an array."""
    array = _Array()
    array.shape, array.type, array.fortran, array.content, array.axes = shape, of, order == "F", content, axes
    return array


def _scalar(of: Any, content: Any) -> Any:
    array = _Array()
    array.shape, array.type, array.content = (), of, content
    return array.made()[()]


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise RefusedPickle(f"it encodes as {encoding}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Protocol 2's way to empty bytes."""
    return b""


# What a pickled dictionary of arrays needs, whatever numpy wrote it; nothing is ever imported by the name in the file.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): None,  # an argument, never called
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,  # bytes in protocol 2
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): collections.OrderedDict,
}
for _module in ("numpy.core", "numpy._core"):  # numpy 1.x, numpy 2.x
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = _Array
    _ALLOWED[f"{_module}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = _from_buffer


class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise RefusedPickle(f"it names {module}.{name}")
        return _ALLOWED[module, name]

    def load_build(self) -> None:
        """Set the state of arrays and types alone: of anything else it would set attributes."""
        changed = self.stack[-2]  # type: ignore[attr-defined]
        if not isinstance(changed, _Array | _Type):
            raise RefusedPickle(f"it changes a {type(changed).__name__}")
        super().load_build()  # type: ignore[misc]

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}  # type: ignore[dict-item]  # noqa: RUF012


def _made(value: Any, known: dict[int, tuple[Any, Any]]) -> Any:
    """Return ``value`` with arrays in the place of their descriptions; ``known``: what was made of each object before."""
    if id(value) in known:
        return known[id(value)][1]
    if isinstance(value, _Type):
        return value.dtype
    if isinstance(value, _Array):
        array = value.made()
        known[id(value)] = value, array
        if array.dtype.hasobject:
            flat = array.reshape(-1)
            for index, entry in enumerate(value.content):
                flat[index] = _made(entry, known)
        return array
    if isinstance(value, list | dict):
        known[id(value)] = value, value
        for key, entry in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
            value[key] = _made(entry, known)
    if isinstance(value, tuple):
        known[id(value)] = value, tuple(_made(entry, known) for entry in value)
        return known[id(value)][1]
    return value
