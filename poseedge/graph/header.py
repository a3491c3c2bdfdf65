"""What an ONNX file says of itself, read without its weights and without ``onnx``, in the memory of a page."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from poseedge.errors import ArtefactError
from poseedge.onnx_file import model_metadata, nodes_of

INTEGER = {"QuantizeLinear", "DequantizeLinear", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}


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
            return Header(model_metadata(content), frozenset(node.operator for node in nodes_of(content)))
    except (ValueError, IndexError) as error:  # an empty file, or a broken length
        raise ArtefactError(f"{path}: no ONNX file ({error})", "is it truncated? export or copy it again") from error
