"""What a graph needs in FP32 where TensorRT may choose a lower precision by itself."""

from __future__ import annotations

from onnx import TensorProto

from poseedge.graph.graph import Graph
from poseedge.graph.structure import decomposed_norms

UNTYPED = {"Cast", "Constant", "Identity", "QuantizeLinear", "DequantizeLinear", "Shape"}  # no layer of theirs has a precision


def float32_nodes(graph: Graph) -> list[str]:
    """Return the nodes to hold in FP32 under weak typing, sorted.

    A half precision graph has said it: all that it keeps in float32. Of another it is the decomposed layer norms, whose
    squares overflow half precision.
    """
    kept = kept_in_float32(graph) if graph.half else decomposed_norms(graph)
    return sorted(node.name for node in graph.nodes if node.name and node.output[0] in kept)


def kept_in_float32(graph: Graph) -> set[str]:
    """Return the float32 results of nodes that compute."""
    computed = (node.output[0] for node in graph.nodes if node.op_type not in UNTYPED)
    return {name for name in computed if graph.types.get(name) == TensorProto.FLOAT}
