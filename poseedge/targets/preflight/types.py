"""Rules on number formats: what the board computes in, and what half precision cannot hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import TensorProto, numpy_helper

from poseedge.graph.graph import Graph
from poseedge.graph.nodes import type_name
from poseedge.graph.structure import decomposed_norms
from poseedge.targets.boards import Target, Version
from poseedge.targets.preflight.rules import Issue, rule

INT32_MAX = 2**31 - 1
NARROW: dict[int, tuple[str, Version]] = {
    TensorProto.BFLOAT16: ("bf16", (10, 0)),
    TensorProto.FLOAT8E4M3FN: ("fp8", (8, 6)),
    TensorProto.FLOAT8E5M2: ("fp8", (8, 6)),
    TensorProto.FLOAT4E2M1: ("fp4", (10, 8)),
}  # the board's name for the format, and the TensorRT that first reads it
NEVER = {TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128, TensorProto.UINT16, TensorProto.UINT32}
NEVER |= {TensorProto.UINT64, TensorProto.INT16, TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2FNUZ}


@rule(
    "double", "error", "onnx-tensorrt docs/operators.md: DOUBLE is cast to FLOAT where possible; TensorRT-RTX 1.7 refuses inputs"
)
def no_double(graph: Graph, target: Target) -> Iterator[Issue]:
    """Nothing is in double precision."""
    ends = {value.name for value in (*graph.proto.graph.input, *graph.proto.graph.output)}
    for name, kind in graph.types.items():
        if kind == TensorProto.DOUBLE:
            message = "an input or output is float64" if name in ends else "this tensor is float64; TensorRT casts it to float32"
            yield Issue(name, message, "call .float() on the network before exporting", None if name in ends else "warning")


@rule("number-format", "error", "support matrices 8.2 to 11.x by compute capability; NvInfer.h DataType")
def number_format(graph: Graph, target: Target) -> Iterator[Issue]:
    """Every tensor has a format that the board computes in and its TensorRT reads."""
    for name, kind in graph.types.items():
        format_, since = NARROW.get(kind, ("", (0,)))
        lacking = bool(target.board) and format_ not in (target.board.formats if target.board else [])
        if kind in NEVER or (format_ and (lacking or target.oldest < since)):
            yield Issue(name, f"{type_name(kind)} is no format of {target.name}", "use float32, float16, or INT8 with Q/DQ")


@rule("uint8-input", "error", "onnx-tensorrt Changelog.md 8.5: UINT8 inputs and outputs")
def uint8_input(graph: Graph, target: Target) -> Iterator[Issue]:
    """Before TensorRT 8.5 inputs and outputs are not uint8; keypoints are float32 anyway."""
    for value in (*graph.proto.graph.input, *graph.proto.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.UINT8 and target.oldest < (8, 5):
            yield Issue(value.name, "an input or output is uint8", "make it float32 and cast inside")


@rule("int64-ends", "warning", "NVIDIA/TensorRT migration notes: INT64 is native from 10.0 on")
def int64_ends(graph: Graph, target: Target) -> Iterator[Issue]:
    """Before TensorRT 10 an INT64 input or output is INT32 on the device."""
    if target.oldest >= (9,):
        return
    for value in (*graph.proto.graph.input, *graph.proto.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.INT64:
            fix = "read it by the engine's own type, as poseedge's runner does, or leave the output out"
            yield Issue(value.name, "this INT64 input or output becomes INT32 on TensorRT 8", fix)


@rule("int64-values", "error", "onnx-tensorrt docs/operators.md 8.x: INT64 is narrowed to INT32")
def int64_values(graph: Graph, target: Target) -> Iterator[Issue]:
    """Before TensorRT 10 stored INT64 values fit INT32, but for the open ends of slices."""
    if target.oldest >= (9,):
        return
    for name, tensor in graph.stored.items():
        if tensor.data_type != TensorProto.INT64 or all(node.op_type == "Slice" for node in graph.readers[name]):
            continue
        values = numpy_helper.to_array(tensor)
        if values.size and int(np.abs(values).max()) > INT32_MAX:
            yield Issue(name, "values of this INT64 tensor do not fit INT32", "use smaller values")


@rule("half-overflow", "error", "IEEE 754: the largest half is 65504")
def half_overflow(graph: Graph, target: Target) -> Iterator[Issue]:
    """No stored half-precision value has become infinite or NaN."""
    for name, tensor in graph.stored.items():
        if tensor.data_type == TensorProto.FLOAT16 and not np.isfinite(numpy_helper.to_array(tensor)).all():
            yield Issue(
                name,
                "this float16 constant holds infinities or NaN",
                "keep it in float32 (fp16.keep in the recipe); mask by -1e4",
            )


@rule("half-norm", "warning", "TensorRT's own warning on layer normalization in FP16; squares overflow beyond 255")
def half_norm(graph: Graph, target: Target) -> Iterator[Issue]:
    """The reductions of a norm that is decomposed are in float32."""
    norms = decomposed_norms(graph)
    for node in graph.nodes:
        reduces = node.op_type in ("ReduceMean", "ReduceL2", "Pow")
        if reduces and node.output[0] in norms and graph.types.get(node.input[0]) == TensorProto.FLOAT16:
            fix = "keep it in float32, as poseedge export does, or export at opset 17 for TensorRT 8.6 and later"
            yield Issue(node, f"{node.op_type} of a decomposed norm is in float16 and overflows for values beyond 255", fix)


@rule("weak-typing", "note", "TensorRT developer guide: without strong typing, types in the graph are hints")
def weak_typing(graph: Graph, target: Target) -> Iterator[Issue]:
    """Where TensorRT is weakly typed, builder flags choose the precision and may overrule casts."""
    if graph.half and target.releases[0].typing == "weak":
        message = f"TensorRT {target.releases[0].version} takes precision from builder flags and may overrule the graph's casts"
        yield Issue("", message, "compare with FP32 on the device: the bundle's run.py gives the distance in mm")


@rule("rest-in-float32", "note", "TensorRT 10.12 on: with strong typing the graph's types are what runs")
def rest_in_float32(graph: Graph, target: Target) -> Iterator[Issue]:
    """With strong typing, what INT8 leaves out runs in float32 unless the graph casts it to half."""
    if graph.quantized and not graph.half and target.releases[-1].typing != "weak":
        message = "outside Q/DQ this INT8 graph is float32, and with strong typing it runs so"
        yield Issue(
            "", message, "poseedge export makes int8-fp16 for such targets; time it against FP16, which may still be faster"
        )


@rule("precision-in-name", "warning", "the graph's own metadata", runtime="any")
def precision_in_name(graph: Graph, target: Target) -> Iterator[Issue]:
    """A graph that calls itself FP16 or INT8 is."""
    if graph.metadata and graph.metadata.precision != graph.precision:
        message = f"the metadata says {graph.metadata.precision}, the types amount to {graph.precision}"
        yield Issue("", message, "export it again")
