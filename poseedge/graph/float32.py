"""What must stay in FP32 where the rest is in half precision, or where TensorRT may choose a lower precision by itself."""

from __future__ import annotations

from onnx import NodeProto, TensorProto

from poseedge.graph.graph import Graph
from poseedge.graph.structure import (
    decomposed_norms,
    leading_to_selection,
    norm_results,
    pooled_norms,
    raw_results,
    scaled_norms,
    serving_selection_only,
)

UNTYPED = {"Cast", "Constant", "Identity", "QuantizeLinear", "DequantizeLinear", "Shape"}  # no layer of theirs has a precision


def float32_nodes(graph: Graph) -> list[str]:
    """Return the nodes to hold in FP32 under weak typing, sorted.

    A half precision graph has said it: all that it keeps in float32. Of another it is what its half precision form would keep,
    as far as the structure tells: a recipe may name more, which a bundle's manifest lists.
    """
    computed = (node for node in graph.nodes if node.name and node.op_type not in UNTYPED)
    exact = None if graph.half else exact_results(graph) | rounding_results(graph)
    return sorted(
        node.name
        for node in computed
        if graph.types.get(node.output[0]) == TensorProto.FLOAT and (exact is None or node.output[0] in exact)
    )


def exact_results(graph: Graph) -> set[str]:
    """Return what must stay in float32 by structure: see ``fp16.to_fp16``."""
    norms = decomposed_norms(graph) | scaled_norms(graph) | pooled_norms(graph)
    return norms | raw_results(graph) | embedded(graph) | selection_results(graph)


def selection_results(graph: Graph) -> set[str]:
    """Return what a frame selection depends on, but for those products that serve something else too."""
    products = {node.output[0] for node in graph.of("MatMul", "Gemm")}
    return (leading_to_selection(graph) - products) | serving_selection_only(graph)


def embedded(graph: Graph) -> set[str]:
    """Return what is computed from the keypoints up to the first norm on every path, that norm included."""
    norms = norm_results(graph)
    behind: set[str] = set()
    for node in graph.nodes:
        if behind.intersection(node.input) or (norms.intersection(node.input) and node.output[0] not in norms):
            behind.update(node.output)
    first: set[str] = set()
    for node in reversed(graph.nodes):
        leads_to_norm = any(first.intersection(reader.output) for name in node.output for reader in graph.readers[name])
        if behind.isdisjoint(node.output) and (node.output[0] in norms or leads_to_norm):
            first.update(node.output)
    return first


def rounding_results(graph: Graph) -> set[str]:
    """Return what serves rounding to INT8 alone: what centres a channel before it, what a first step leaves for a second."""
    products = {node.output[0] for node in graph.of("MatMul", "Gemm", "Conv")}
    products |= {node.output[0] for node in graph.of("Add") if products.issuperset(node.input)}  # of two steps
    found = {name for node in graph.of("QuantizeLinear", "DequantizeLinear") for name in node.output}
    given = set(graph.outputs)

    def centers(node: NodeProto) -> bool:
        constants = [name for name in node.input if name in graph.stored and len(graph.stored[name].dims) == 1]
        return node.op_type == "Add" and bool(constants) and products.isdisjoint(node.input)

    def remains(node: NodeProto) -> bool:
        return node.op_type == "Sub" and any(graph.maker(name, "DequantizeLinear") for name in node.input)

    for node in reversed(graph.nodes):
        readers = graph.readers[node.output[0]]
        serving = readers and given.isdisjoint(node.output) and all(found.issuperset(reader.output) for reader in readers)
        if serving and (centers(node) or remains(node)):
            found.update(node.output)
    return found
