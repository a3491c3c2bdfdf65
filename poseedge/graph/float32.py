"""What a graph needs in FP32 where TensorRT may choose a lower precision by itself."""

from __future__ import annotations

from typing import Any

import onnx

from poseedge.graph.structure import decomposed_norms

UNTYPED = {"Cast", "Constant", "Identity", "QuantizeLinear", "DequantizeLinear", "Shape"}  # no layer of theirs has a precision


def float32_nodes(model: onnx.ModelProto) -> list[str]:
    """Return the nodes to hold in FP32 under weak typing, sorted.

    A half precision graph has said it: all that it keeps in float32. Of another it is the decomposed layer norms, whose
    squares overflow half precision.
    """
    kept = kept_in_float32(model) if holds_half(model) else decomposed_norms(model)
    return sorted(node.name for node in model.graph.node if node.name and node.output[0] in kept)


def holds_half(model: onnx.ModelProto) -> bool:
    """Say whether any weight is in half precision."""
    return any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)


def kept_in_float32(model: onnx.ModelProto) -> set[str]:
    """Return the float32 results of nodes that compute."""
    inferred: Any = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)}
    computed = (node.output[0] for node in model.graph.node if node.op_type not in UNTYPED)
    return {name for name in computed if types.get(name) == onnx.TensorProto.FLOAT}
