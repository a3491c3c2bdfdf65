"""What an ONNX file lifts: told by its metadata, or by its inputs, outputs and operators if it is not one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from poseedge.errors import ArtefactError
from poseedge.graph.metadata import GraphMetadata
from poseedge.lifter import LifterSpec, Precision, spec_from_shapes

if TYPE_CHECKING:
    import onnx

FLOAT = "tensor(float)"  # as ONNX Runtime writes it
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear", "DynamicQuantize", "MatMulInteger", "ConvInteger")


class End(NamedTuple):
    """An input or output: its type as ONNX Runtime writes it, and its shape; a size that is no int is free."""

    kind: str
    shape: Sequence[Any]


def read_spec(path: Path) -> LifterSpec:
    """Return what the ONNX file ``path`` takes and gives; raises ``ArtefactError`` if it is no lifting graph."""
    from poseedge.graph.graph import load_graph  # here alone: a session tells all this without the memory of ``onnx``

    return spec_of_model(path, load_graph(path))


def spec_of_model(path: Path, model: onnx.ModelProto) -> LifterSpec:
    """Return what the graph ``model`` takes and gives; ``path`` is its file."""
    stored = {tensor.name for tensor in model.graph.initializer}  # before IR version 4 weights are inputs, too
    inputs = [end_of(value) for value in model.graph.input if value.name not in stored]
    props = {entry.key: entry.value for entry in model.metadata_props}
    return spec_of(path, inputs, [end_of(value) for value in model.graph.output], props)


def spec_of(path: Path, inputs: Sequence[End], outputs: Sequence[End], props: dict[str, str]) -> LifterSpec:
    """Return what a graph with these ends and ``metadata_props`` takes and gives; poses are its first output.

    Raises ``ArtefactError`` if that is not float32 ``(B, T, 17, C)`` to float32 ``(B, T_out, 17, 3)``.
    """
    found = spec_from_shapes(path.stem, inputs[0].shape, outputs[0].shape) if len(inputs) == 1 and outputs else None
    if found is None or {inputs[0].kind, outputs[0].kind} != {FLOAT}:
        shapes = " -> ".join(", ".join(f"{end.kind} {list(end.shape)}" for end in ends) for ends in (inputs, outputs))
        raise ArtefactError(f"{path}: no lifting graph: expected float (B, T, 17, 2) -> (B, T_out, 17, 3), found {shapes}")
    metadata = GraphMetadata.from_props(props, path)
    if metadata is None:
        return replace(found, precision=precision_at(path))
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
    )


def end_of(value: onnx.ValueInfoProto) -> End:
    """Return type and shape of a graph's input or output."""
    from onnx import TensorProto

    kind = TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    dims = value.type.tensor_type.shape.dim
    return End(f"tensor({kind})", [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims])


def precision_at(path: Path) -> Precision:
    """Return the precision that the operators and types of the graph at ``path`` amount to; its weights are not read."""
    import onnx

    return precision_of(onnx.load(path, load_external_data=False))


def precision_of(model: onnx.ModelProto) -> Precision:
    """Return the precision that the operators and types of a graph amount to."""
    from onnx import TensorProto

    half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer) or any(
        item.i == TensorProto.FLOAT16 or item.t.data_type == TensorProto.FLOAT16
        for node in model.graph.node
        if node.op_type in ("Cast", "Constant")
        for item in node.attribute
        if item.name in ("to", "value")
    )
    quantized = any(node.op_type.startswith(_QUANTIZED) for node in model.graph.node)
    named: dict[tuple[bool, bool], Precision] = {(False, False): "fp32", (False, True): "fp16", (True, False): "int8"}
    return named.get((quantized, half), "int8-fp16")
