"""Exact rewritings that suit ONNX Runtime on a CPU: for targets with ``cpu_form``, and for INT8 graphs when it loads them.

Device graphs do without: TensorRT's parsers before opset 23 do not know the operator, and Q/DQ needs products without bias.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from poseedge.graph.graph import Graph
from poseedge.graph.nodes import attribute

ATTENTION_OPSET = 23  # the first with an Attention operator
AXES_AS_INPUT = 18  # the first where all that reduces is given its axes as an input; before, ReduceSum alone was
REDUCING = ("ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceMax", "ReduceMin", "ReduceProd")


def to_cpu_form(graph: Graph, opset: int) -> None:
    """Put ``graph`` at ``opset``, with what suits a CPU at that opset."""
    scale_before_reshape(graph)
    if opset >= ATTENTION_OPSET:
        use_attention_operator(graph)
    graph.state_shapes()  # the exporter wrote those of the former graph


def widened(graph: Graph) -> Graph:
    """Return a copy after ``scale_before_reshape``: on a GPU one kernel less for each graph convolution."""
    copy = graph.copy()
    scale_before_reshape(copy)
    copy.state_shapes()
    return copy


def join_biases(graph: Graph) -> None:
    """Let a Gemm add what is added to a product of rank 2 with a constant. ``graph`` is edited.

    To a layer, that is a constant; to a constant times a tensor, it may be a tensor of the same shape too. What Q/DQ is
    to go around must not be joined before.
    """
    shapes = graph.shapes
    for product in list(graph.of("MatMul")):
        added = graph.reader(product.output[0], "Add")
        if added is None or product.output[0] in graph.outputs or not is_matrix_product(graph, product):
            continue
        other = added.input[1 - list(added.input).index(product.output[0])]
        result, shape = shapes.get(product.output[0]), shapes.get(other)
        fits = result is not None and shape is not None and len(shape) <= 2 and np.broadcast_shapes(shape, result) == result
        if fits and (other in graph.stored or (shape == result and product.input[0] in graph.stored)):
            joined = helper.make_node("Gemm", [*product.input, other], list(added.output), name=product.name)
            graph.insert(joined, before=added)
            graph.remove(product, added)


def is_matrix_product(graph: Graph, product: NodeProto) -> bool:
    """Say whether both factors have rank 2 and one is a constant."""
    ranks = [len(graph.shapes.get(name, ())) for name in product.input]
    return ranks == [2, 2] and not graph.stored.keys().isdisjoint(product.input)


def scale_before_reshape(graph: Graph) -> None:
    """Let a constant ``(N, 1, C)`` scale ``(..., N, k C)`` before the Reshape to ``(..., N, k, C)``, not after it.

    The Reshape then joins with the one that follows, as in a modulated graph convolution. ``graph`` is edited.
    """
    for scale in list(graph.of("Mul")):
        split, factor = graph.maker(scale.input[0], "Reshape"), graph.value(scale.input[1])
        if split is None or factor is None or graph.reader(scale.output[0], "Reshape") is None:
            continue
        parts = graph.value(split.input[1])
        if parts is None or factor.ndim != 3 or factor.shape[1] != 1 or parts[-1] != factor.shape[-1]:
            continue
        wide = graph.add_constant(f"{scale.name}_factor", np.tile(factor[:, 0], (1, int(parts[-2]))))
        graph.set_inputs(scale, [split.input[0], wide])
        if not graph.readers[split.output[0]] and split.output[0] not in graph.outputs:
            graph.remove(split)


def use_attention_operator(graph: Graph) -> None:
    """Write self-attention on rows ``(N, 3 heads, head width)`` as one Attention operator, and raise the opset to its first.

    Other forms of attention stay as they are. ``graph`` is edited.
    """
    state_what_was_implied(graph)
    for chain in self_attentions(graph):
        rows, join = chain[0], chain[-1]
        shape = graph.value(rows.input[1])
        if shape is not None:
            tokens, slots, width = (int(size) for size in shape)
            for node in attention_nodes(graph, rows.input[0], join, (tokens, slots // 3, width)):
                graph.insert(node, before=join)
            graph.remove(*chain)
    graph.set_opset(ATTENTION_OPSET)


def state_what_was_implied(graph: Graph) -> None:
    """Write what opset 18 wants written: the number of a Split's equal parts, and a reduction's axes as an input."""
    if graph.opset >= AXES_AS_INPUT:
        return
    for split in graph.of("Split"):
        if len(split.input) < 2 and attribute(split, "num_outputs") is None:
            split.attribute.append(helper.make_attribute("num_outputs", len(split.output)))
    for node in graph.of(*REDUCING):
        axes = attribute(node, "axes")
        if axes:
            kept = [item for item in node.attribute if item.name != "axes"]
            del node.attribute[:]
            node.attribute.extend(kept)
            graph.set_inputs(node, [node.input[0], graph.add_constant(f"{node.output[0]}_axes", np.array(axes, np.int64))])


def attention_nodes(graph: Graph, source: str, last: NodeProto, sizes: tuple[int, int, int]) -> list[NodeProto]:
    """Return attention between the rows of ``source``, ending as ``last`` did; ``sizes`` are tokens, heads, head width."""
    tokens, heads, width = sizes
    name = last.name
    batch, parts, mixed = f"{name}_batch", [f"{name}_{part}" for part in ("query", "key", "value")], f"{name}_mixed"
    shape = graph.add_constant(f"{batch}_shape", np.array([1, tokens, 3 * heads * width], np.int64))
    thirds = graph.add_constant(f"{name}_thirds", np.array([heads * width] * 3, np.int64))
    scale = 1.0  # it is part of the query
    return [
        helper.make_node("Reshape", [source, shape], [batch], name=batch),
        helper.make_node("Split", [batch, thirds], parts, name=f"{name}_split", axis=-1),
        helper.make_node("Attention", parts, [mixed], name=mixed, q_num_heads=heads, kv_num_heads=heads, scale=scale),
        helper.make_node("Reshape", [mixed, last.input[1]], list(last.output), name=name),
    ]


def self_attentions(graph: Graph) -> list[list[NodeProto]]:
    """Return the nodes of every self-attention of that form, from the Reshape to the one that joins the heads again."""
    found = []
    for softmax in graph.of("Softmax"):
        before = chain_back(graph, softmax, ["MatMul", "Split", "Transpose", "Reshape"])
        after = chain_forward(graph, softmax, ["MatMul", "Transpose", "Reshape"])
        if not before or not after:
            continue
        scores, split, swap, rows = before
        mix, join, _ = after
        turned = graph.maker(scores.input[1], "Transpose")
        if turned is None or list(split.output) != [scores.input[0], turned.input[0], mix.input[1]]:
            continue
        if [attribute(node, "perm") for node in (swap, turned, join)] == [[1, 0, 2], [0, 2, 1], [1, 0, 2]]:
            found.append([rows, swap, split, turned, scores, softmax, *after])
    return found


def chain_back(graph: Graph, node: NodeProto, kinds: list[str]) -> list[NodeProto]:
    """Return the nodes before ``node``, along first inputs, if they are of these ``kinds``."""
    chain: list[NodeProto] = []
    for kind in kinds:
        maker = graph.maker(node.input[0], kind)
        if maker is None:
            return []
        chain.append(node := maker)
    return chain


def chain_forward(graph: Graph, node: NodeProto, kinds: list[str]) -> list[NodeProto]:
    """Return the nodes after ``node``, each the only reader of the one before, if they are of these ``kinds``."""
    chain: list[NodeProto] = []
    for kind in kinds:
        reader = graph.reader(node.output[0], kind)
        if reader is None:
            return []
        chain.append(node := reader)
    return chain
