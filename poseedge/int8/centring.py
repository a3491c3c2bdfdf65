"""Who centres what a layer in INT8 reads, told by structure: the norm before it, attention's values, or an addition.

A norm's bias can, and its gain can divide, if all that reads the norm makes up for it: layers by their biases and weights,
behind changes of layout too, and constants that scale and shift the norm on another path. Softmax rows sum to one, so an
offset of what attention mixes is an offset of the values, and their layer's bias can. What is left costs an addition.
"""

from __future__ import annotations

import math
from typing import Literal

from onnx import NodeProto

from poseedge.graph.channels import LAYOUT, Origin, fixed_batch, layout_origin, mixed_origin
from poseedge.graph.graph import Graph
from poseedge.graph.nodes import attribute

# A norm centres and divides; a bias centres, the norm's or that of attention's values; an addition does; nothing can.
Centring = Literal["norm", "bias", "add", "none"]


def norm_origins(graph: Graph, chosen: set[str]) -> dict[str, Origin]:
    """Return what ``chosen`` layers read of norms that can centre it, with the norm's output that it comes from."""
    found: dict[str, Origin] = {}
    for node in graph.of("LayerNormalization"):
        constant = all(name in graph.stored for name in node.input[1:])
        leaves = read_by_layers(graph, node.output[0], chosen) if constant else []
        origins = {leaf: layout_origin(graph, leaf, node.output[0]) for leaf in leaves}
        known = {leaf: origin for leaf, origin in origins.items() if origin is not None}
        if len(known) == len(origins):
            found |= known
    return found


def read_by_layers(graph: Graph, norm: str, chosen: set[str]) -> list[str]:
    """Return the tensors that ``chosen`` layers read of a norm's output; none if something reads it that makes up for nothing."""
    leaves, waiting = dict[str, None](), [norm]
    while waiting:
        name = waiting.pop()
        if name in graph.outputs:
            return []
        for reader in graph.readers[name]:
            if list(reader.input).count(name) != 1:
                return []
            if reader.output[0] in chosen and name == reader.input[0]:
                leaves[name] = None
            elif changes_layout(graph, reader, name):
                waiting += reader.output
            elif name != norm or shift_behind(graph, reader) is None:
                return []
    return list(leaves)


def changes_layout(graph: Graph, node: NodeProto, name: str) -> bool:
    """Say whether ``node`` puts the values of ``name`` elsewhere and does no more."""
    return node.op_type in LAYOUT and node.input[0] == name and graph.stored.keys() >= set(filter(None, node.input[1:]))


def shift_behind(graph: Graph, scale: NodeProto) -> NodeProto | None:
    """Return the Add of a constant that alone reads what ``scale``, a Mul by a constant, gives; or None."""
    constant = scale.op_type == "Mul" and any(name in graph.stored for name in scale.input)
    return bias_add(graph, scale) if constant and scale.output[0] not in graph.outputs else None


def bias_add(graph: Graph, layer: NodeProto) -> NodeProto | None:
    """Return the Add of a constant that alone reads what a layer gives, or None."""
    added = graph.reader(layer.output[0], "Add")
    return added if added is not None and any(name in graph.stored for name in added.input) else None


def bias_behind(graph: Graph, layer: NodeProto) -> list[str]:
    """Return the tensors from a layer's result to what an Add adds a constant to, each made of the one before; or nothing.

    Between them only constants scale and mix rows, as in a graph convolution: what is added to the first is added to
    the last, times those constants. Of one window: where the batch is free, an Add must follow at once. And of few rows:
    each has a constant of its own then, and together they may take no more than twice the bytes of the layer's weight in INT8.
    """
    tensors, room = [layer.output[0]], math.prod(graph.stored[layer.input[1]].dims) / 2 if fixed_batch(graph) else 0
    while tensors[-1] not in graph.outputs and len(graph.readers[tensors[-1]]) == 1:
        (reader,) = graph.readers[tensors[-1]]
        others = [name for name in reader.input if name != tensors[-1]]
        if len(others) != len(reader.input) - 1 or not graph.stored.keys() >= set(others):
            break
        if reader.op_type == "Add":
            return tensors if len(tensors) == 1 or 0 < math.prod(graph.shapes.get(tensors[-1], (0,))) <= room else []
        mixes = reader.op_type == "MatMul" and reader.input[0] in graph.stored
        one = len(reader.output) == 1 and changes_layout(graph, reader, tensors[-1])
        if not (mixes or one or reader.op_type == "Mul"):
            break
        tensors.append(reader.output[0])
    return []


def value_origins(graph: Graph, chosen: set[str], rounded: set[str]) -> dict[str, Origin]:
    """Return what attention mixes and ``chosen`` layers alone read, with the values' layer whose bias can centre it.

    Not where one of the products ``rounded`` mixes: their factors are rounded as they are.
    """
    found = {}
    for name in dict.fromkeys(layer.input[0] for layer in graph.layers.values()):
        readers = {reader.output[0] for reader in graph.readers[name]}
        origin = mixed_origin(graph, name) if readers <= chosen and name not in graph.outputs else None
        if origin and rounded.isdisjoint(origin.tensors):
            product = layer_of(graph, origin.tensors[0])
            if product is not None and (product.output[0] in chosen or is_biased(graph, product)):
                found[name] = origin
    return found


def layer_of(graph: Graph, name: str) -> NodeProto | None:
    """Return the layer whose result ``name`` is, with the constant that is added to it if there is one; or None."""
    added = graph.maker(name, "Add")
    given = {node.output[0]: node for node in graph.layers.values() if is_plain(node)}
    product = next((given[other] for other in (added.input if added is not None else [name]) if other in given), None)
    return product if product is None or added is None or bias_add(graph, product) is added else None


def is_biased(graph: Graph, layer: NodeProto) -> bool:
    """Say whether a layer has a constant bias of its own."""
    held = layer.op_type == "Gemm" and len(layer.input) == 3 and layer.input[2] in graph.stored
    return held or bias_add(graph, layer) is not None


def is_plain(node: NodeProto) -> bool:
    """Say whether a layer multiplies rows by its weight and no more: a Gemm may also scale and transpose."""
    return not attribute(node, "transA", 0) and attribute(node, "alpha", 1) == 1 == attribute(node, "beta", 1)


def weight_axis(node: NodeProto) -> int:
    """Return the axis of a layer's weight that counts output channels."""
    return 0 if node.op_type == "Gemm" and attribute(node, "transB", 0) else 1
