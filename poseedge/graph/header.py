"""What an ONNX file says of itself, read without its weights and without ``onnx``, in the memory of a page.

The fields are those of onnx.proto: ``ModelProto.graph`` 7 and ``.metadata_props`` 14, ``GraphProto.node`` 1,
``NodeProto.op_type`` 4, ``StringStringEntryProto.key`` 1 and ``.value`` 2.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from poseedge.errors import ArtefactError

_GRAPH, _METADATA, _NODE, _OPERATOR = 7, 14, 1, 4
INTEGER = {"QuantizeLinear", "DequantizeLinear", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}
_FIXED = {1: 8, 5: 4}  # bytes of the wire types that have a length of their own


@dataclass(frozen=True)
class Header:
    """The ``metadata_props`` of a model, and the operators of its graph."""

    metadata: dict[str, str]
    operators: frozenset[str]

    @property
    def quantized(self) -> bool:
        """Whether the graph holds Q/DQ or integer products."""
        return bool(self.operators & INTEGER)


def read_header(path: Path) -> Header:
    """Return the header of an ONNX file; raises ``ArtefactError`` if it is none."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            metadata, operators = {}, set()
            for field, entry in _fields(content, slice(0, len(content))):
                if field == _METADATA:
                    texts = {number: _text(content, part) for number, part in _fields(content, entry)}
                    metadata[texts.get(1, "")] = texts.get(2, "")
                if field == _GRAPH:
                    nodes = [part for number, part in _fields(content, entry) if number == _NODE]
                    operators |= {_text(content, part) for node in nodes for n, part in _fields(content, node) if n == _OPERATOR}
            return Header(metadata, frozenset(operators))
    except (ValueError, IndexError) as error:  # an empty file, a broken length, bytes that are no text
        raise ArtefactError(f"{path}: no ONNX file ({error})", "is it truncated? export or copy it again") from error


def _text(content: mmap.mmap, part: slice) -> str:
    return content[part].decode("utf-8")


def _fields(content: mmap.mmap, message: slice) -> Iterator[tuple[int, slice]]:
    """Yield number and place of the length-delimited fields of the protobuf message at ``message``."""
    at, end = message.start, message.stop
    while at < end:
        key, at = _varint(content, at)
        kind, size = key & 7, _FIXED.get(key & 7, 0)
        if kind in (0, 2):
            value, at = _varint(content, at)
            size = value if kind == 2 else 0
        elif kind not in _FIXED:
            raise ValueError(f"wire type {kind}")
        if at + size > end:
            raise ValueError("it ends within a field")
        if kind == 2:
            yield key >> 3, slice(at, at + size)
        at += size


def _varint(content: mmap.mmap, at: int) -> tuple[int, int]:
    """Return the integer at ``at``, and where it ends."""
    value = shift = 0
    while shift < 64:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("an integer of more than 64 bits")
