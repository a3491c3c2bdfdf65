"""What an ONNX file lifts: told by its metadata, or by its inputs, outputs and operators if it is not one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from poseedge.errors import ArtefactError
from poseedge.graph.metadata import GraphMetadata
from poseedge.lifter import LifterSpec, Precision, spec_from_shapes

FLOAT = "tensor(float)"  # as ONNX Runtime writes it


class End(NamedTuple):
    """An input or output: its type as ONNX Runtime writes it, and its shape; a size that is no int is free."""

    kind: str
    shape: Sequence[Any]


def spec_of(path: Path, inputs: Sequence[End], outputs: Sequence[End], props: dict[str, str]) -> LifterSpec:
    """Return what a graph with these ends and ``metadata_props`` takes and gives; poses are its first output.

    Of a streaming graph, which has caches among its ends, the windows whose poses it gives.

    Raises ``ArtefactError`` if that is not float32 ``(B, T, 17, C)`` to float32 ``(B, T_out, 17, 3)``.
    """
    metadata = GraphMetadata.from_props(props, path)
    one = len(inputs) == 1 or (metadata is not None and metadata.streams)
    found = spec_from_shapes(path.stem, inputs[0].shape, outputs[0].shape) if one and outputs else None
    if found is None or {inputs[0].kind, outputs[0].kind} != {FLOAT}:
        shapes = " -> ".join(", ".join(f"{end.kind} {list(end.shape)}" for end in ends) for ends in (inputs, outputs))
        half = any("float16" in end.kind for end in (*inputs, *outputs))
        hint = "half precision belongs inside, between float32 ends" if half else ""
        raise ArtefactError(f"{path}: no lifting graph: expected float (B, T, 17, 2) -> (B, T_out, 17, 3), found {shapes}", hint)
    if metadata is None:
        return replace(found, precision=precision_at(path))
    if metadata.streams:
        found = replace(found, frames=metadata.streams, remembers=True)
    given = len(found.output_frames)
    if len(metadata.output_frames) != given or not all(0 <= frame < found.frames for frame in metadata.output_frames):
        raise ArtefactError(
            f"{path}: damaged metadata: poseedge.output_frames should be {given} of {found.frames} frames, "
            f"found {list(metadata.output_frames)}",
            "export it again",
        )
    return replace(
        found,
        model=metadata.model,
        output_frames=metadata.output_frames,
        precision=metadata.precision,
        flip=metadata.flip,
        weights_sha256=metadata.source_sha256,
        fps=metadata.fps,
    )


def precision_at(path: Path) -> Precision:
    """Return the precision that the operators and types of the graph at ``path`` amount to; its weights are not read."""
    import onnx  # here alone: a session tells all else without the memory that it takes

    from poseedge.graph.graph import Graph

    return Graph(onnx.load(path, load_external_data=False)).precision
