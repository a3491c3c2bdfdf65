"""One side of a comparison of tensors: a graph, or an engine opened up."""

from __future__ import annotations

from pathlib import Path

from poseedge.errors import require
from poseedge.graph.compare import Side
from poseedge.lifter import ENGINE_SUFFIXES


def open_side(path: Path) -> Side:
    """Read an ONNX file or an engine; raises ``ArtefactError`` for anything else."""
    if path.suffix in ENGINE_SUFFIXES and path.is_file():
        require("tensorrt", "tensorrt")
        from poseedge.engines.opened import open_engine

        return open_engine(path)
    return Side.read(path)
