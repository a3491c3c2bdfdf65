"""The safetensors format: a length, a JSON header that names the tensors, their bytes (huggingface/safetensors, README)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from poseedge.contract import Contract, Count, parsed
from poseedge.errors import CheckpointError

LENGTH = 8  # bytes of the header's length, little-endian
LARGEST_HEADER = 100_000_000
AGAIN = "it may be truncated; get it again"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class Entry(Contract):
    """What the header says of one tensor; offsets count from the end of the header."""

    dtype: str
    shape: list[Count]
    data_offsets: list[Count]


def is_safetensors(head: bytes, size: int) -> bool:
    """Say whether a file of ``size`` bytes that begins with ``head`` is one."""
    length = int.from_bytes(head[:LENGTH], "little")
    return head[LENGTH : LENGTH + 1] == b"{" and 2 <= length <= size - LENGTH


def read_safetensors(path: Path) -> dict[str, Any]:
    """Return the tensors by name. Raises ``CheckpointError`` where header and bytes do not fit each other."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(LENGTH), "little")
        if length > LARGEST_HEADER:
            raise CheckpointError(f"{path}: a safetensors header of {length} bytes", f"at most {LARGEST_HEADER} are allowed")
        header = read_entries(path, stream.read(length))
        data = stream.read()
    entries = {name: parsed(Entry, value, f"{path}: {name}", AGAIN, CheckpointError) for name, value in header.items()}
    check_cover(path, entries, len(data))
    return {name: tensor_of(path, name, entry, data) for name, entry in entries.items()}


def read_entries(path: Path, text: bytes) -> dict[str, Any]:
    """Return the header's entries, without its free text; a name may stand once."""
    try:
        pairs = json.loads(text, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors header ({str(error)[:80]})", AGAIN) from error
    pairs.pop("__metadata__", None)
    return dict(pairs)


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dictionary of ``pairs``; raises ``ValueError`` for a key that stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def check_cover(path: Path, entries: dict[str, Entry], size: int) -> None:
    """Raise ``CheckpointError`` unless the tensors lie side by side and fill the ``size`` bytes."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        first, last = entry.data_offsets if len(entry.data_offsets) == 2 else (-1, -1)
        if first != end or last < first:
            raise CheckpointError(f"{path}: {name} has data_offsets {entry.data_offsets}, expected to begin at {end}", AGAIN)
        end = last
    if end != size:
        raise CheckpointError(f"{path}: holds {size} bytes of tensors, its header speaks of {end}", AGAIN)


def tensor_of(path: Path, name: str, entry: Entry, data: bytes) -> torch.Tensor:
    """Return one tensor, in memory of its own."""
    if entry.dtype not in DTYPES:
        raise CheckpointError(f"{path}: {name} has the unknown type {entry.dtype!r}", f"known: {', '.join(DTYPES)}")
    first, last = entry.data_offsets
    dtype = DTYPES[entry.dtype]
    if last - first != math.prod(entry.shape) * dtype.itemsize:
        raise CheckpointError(f"{path}: {name} has {last - first} bytes for {entry.shape} of {entry.dtype}", AGAIN)
    if first == last:
        return torch.empty(entry.shape, dtype=dtype)
    return torch.frombuffer(bytearray(data[first:last]), dtype=dtype).reshape(entry.shape)
