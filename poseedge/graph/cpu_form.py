"""Exact rewritings that suit ONNX Runtime on a CPU: for targets with ``cpu_form``.

They are kept out of device graphs: the wider constants would weigh more than INT8 saves there, and TensorRT's parsers
before opset 23 do not know the operator.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from poseedge.graph.graph import consumers, initializers

ATTENTION_OPSET = 23  # the first with an Attention operator


def to_cpu_form(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return ``model`` at ``opset``, with what suits a CPU at that opset; ``model`` itself is edited."""
    scale_before_reshape(model)
    if opset >= ATTENTION_OPSET:
        use_attention_operator(model)
    del model.graph.value_info[:]  # shapes that the exporter wrote for the former graph
    return onnx.shape_inference.infer_shapes(model)


def scale_before_reshape(model: onnx.ModelProto) -> None:
    """Let a constant ``(N, 1, C)`` scale ``(..., N, k C)`` before the Reshape to ``(..., N, k, C)``, not after it.

    The Reshape then joins with the one that follows, as in a modulated graph convolution. ``model`` is edited.
    """
    weights, readers = initializers(model), consumers(model)
    makers = {name: node for node in model.graph.node for name in node.output}
    for scale in model.graph.node:
        split = makers.get(scale.input[0])
        if scale.op_type != "Mul" or split is None or split.op_type != "Reshape" or scale.input[1] not in weights:
            continue
        factor = numpy_helper.to_array(weights[scale.input[1]])
        parts = numpy_helper.to_array(weights[split.input[1]])[-2:]
        following = [reader.op_type for reader in readers[scale.output[0]]]
        if factor.ndim != 3 or factor.shape[1] != 1 or parts[-1] != factor.shape[-1] or following != ["Reshape"]:
            continue
        wide = np.tile(factor[:, 0], (1, int(parts[0])))
        model.graph.initializer.append(numpy_helper.from_array(wide, f"{scale.name}_factor"))
        scale.input[:] = [split.input[0], f"{scale.name}_factor"]
        if len(readers[split.output[0]]) == 1:
            model.graph.node.remove(split)


def use_attention_operator(model: onnx.ModelProto) -> None:
    """Write self-attention on rows ``(N, 3 heads, head width)`` as one Attention operator, and raise the opset to its first.

    Other forms of attention stay as they are. ``model`` is edited.
    """
    shapes = {name: numpy_helper.to_array(tensor) for name, tensor in initializers(model).items()}
    chains = {chain[-1].output[0]: chain for chain in self_attentions(model)}
    replaced = {node.output[0] for chain in chains.values() for node in chain}
    nodes: list[NodeProto] = []
    for node in list(model.graph.node):
        if node.output[0] in chains:
            first = chains[node.output[0]][0]
            tokens, slots, width = (int(size) for size in shapes[first.input[1]])
            nodes += attention_nodes(model, first.input[0], node, (tokens, slots // 3, width))
        elif node.output[0] not in replaced:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    next(entry for entry in model.opset_import if entry.domain == "").version = ATTENTION_OPSET


def attention_nodes(model: onnx.ModelProto, source: str, last: NodeProto, sizes: tuple[int, int, int]) -> list[NodeProto]:
    """Return attention between the rows of ``source``, ending as ``last`` did; ``sizes`` are tokens, heads, head width."""
    tokens, heads, width = sizes
    name = last.name
    batch, thirds = f"{name}_batch", f"{name}_thirds"
    for constant, value in ((f"{batch}_shape", [1, tokens, 3 * heads * width]), (thirds, [heads * width] * 3)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), constant))
    parts, mixed = [f"{name}_{part}" for part in ("query", "key", "value")], f"{name}_mixed"
    scale = 1.0  # it is part of the query
    return [
        helper.make_node("Reshape", [source, f"{batch}_shape"], [batch], name=batch),
        helper.make_node("Split", [batch, thirds], parts, name=f"{name}_split", axis=-1),
        helper.make_node("Attention", parts, [mixed], name=mixed, q_num_heads=heads, kv_num_heads=heads, scale=scale),
        helper.make_node("Reshape", [mixed, last.input[1]], list(last.output), name=name),
    ]


def self_attentions(model: onnx.ModelProto) -> list[list[NodeProto]]:
    """Return the nodes of every self-attention of that form, from the Reshape to the one that joins the heads again."""
    makers = {name: node for node in model.graph.node for name in node.output}
    readers = consumers(model)
    found = []
    for softmax in model.graph.node:
        before = chain_back(softmax, ["MatMul", "Split", "Transpose", "Reshape"], makers)
        after = chain_forward(softmax, ["MatMul", "Transpose", "Reshape"], readers)
        if softmax.op_type != "Softmax" or not before or not after:
            continue
        scores, split, swap, rows = before
        mix, join, _ = after
        turned = makers.get(scores.input[1])
        if turned is None or list(split.output) != [scores.input[0], turned.input[0], mix.input[1]]:
            continue
        if [permutation(node) for node in (swap, turned, join)] == [[1, 0, 2], [0, 2, 1], [1, 0, 2]]:
            found.append([rows, swap, split, turned, scores, softmax, *after])
    return found


def chain_back(node: NodeProto, kinds: list[str], makers: dict[str, NodeProto]) -> list[NodeProto]:
    """Return the nodes before ``node``, along first inputs, if they are of these ``kinds``."""
    chain = []
    for kind in kinds:
        maker = makers.get(node.input[0])
        if maker is None or maker.op_type != kind:
            return []
        chain.append(node := maker)
    return chain


def chain_forward(node: NodeProto, kinds: list[str], readers: dict[str, list[NodeProto]]) -> list[NodeProto]:
    """Return the nodes after ``node``, each the only reader of the one before, if they are of these ``kinds``."""
    chain = []
    for kind in kinds:
        following = readers[node.output[0]]
        if len(following) != 1 or following[0].op_type != kind:
            return []
        chain.append(node := following[0])
    return chain


def permutation(node: NodeProto) -> list[int]:
    """Return a Transpose's axes; none for another node."""
    return next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
