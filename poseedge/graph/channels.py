"""Where the channels of a tensor come from: through changes of layout, and through the means over tokens that attention takes.

Told by labels: the numbers of the channels go where their values go, through the graph's own nodes. So no layout need be known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from poseedge.arrays import AnyArray, IndexArray
from poseedge.graph.graph import Graph
from poseedge.graph.nodes import attribute

LAYOUT = ("Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")


@dataclass(frozen=True)
class Origin:
    """What the channels of a tensor come from."""

    tensors: tuple[str, ...]  # where they come from, what nodes make of that one after the other, and the tensor itself
    channels: IndexArray  # (C,): which channel of the first tensor each of them is


def mixed_origin(graph: Graph, name: str) -> Origin | None:
    """Return where ``name`` comes from if attention mixed it: each channel is a mean over tokens of one other channel, its own.

    The mean's weights are a softmax's, which sum to one: what is added to the one channel is added to the other. None too
    if anything on the way is read by others or leaves the graph.
    """
    after = tensors_before(graph, name)
    values = values_of(graph, after[0])
    if values is None:
        return None
    before = tensors_before(graph, values)
    between = [*before, *after[:-1]]
    if any(len(graph.readers[tensor]) != 1 or tensor in graph.outputs for tensor in between):
        return None
    labels, shape = relabelled(graph, before, labels_of(graph, before[0])), graph.shapes.get(after[0], ())
    if labels is None or graph.shapes.get(values, ())[:-2] != shape[:-2] or (labels != labels[..., :1, :]).any():
        return None  # of heads that share values a channel would be several
    mixed = np.broadcast_to(labels[..., :1, :], (*labels.shape[:-2], *shape[-2:]))
    channels = by_channel(relabelled(graph, after, mixed))
    if channels is None or len(np.unique(channels)) != len(channels):
        return None
    return Origin((*before, *after), channels)


def layout_origin(graph: Graph, name: str, first: str) -> Origin | None:
    """Return that changes of layout make ``name`` of ``first``, if they keep the channels of all rows together."""
    tensors = tensors_before(graph, name)
    if first not in tensors:
        return None
    path = tensors[tensors.index(first) :]
    channels = by_channel(relabelled(graph, path, labels_of(graph, first)))
    return None if channels is None else Origin(tuple(path), channels)


def values_of(graph: Graph, name: str) -> str | None:
    """Return the values that attention mixes to ``name``, each head its own; or None."""
    mix = graph.maker(name, "MatMul", "Attention")
    if mix is None:
        return None
    if mix.op_type == "MatMul":
        return mix.input[1] if sums_to_one(graph, mix.input[0]) else None
    heads = {attribute(mix, kind) for kind in ("q_num_heads", "kv_num_heads")}
    rows = len(graph.shapes.get(name, ())) == 3
    return mix.input[2] if rows and len(heads) == 1 and len(mix.output) == 1 and len(mix.input) == 3 else None


def sums_to_one(graph: Graph, name: str) -> bool:
    """Say whether the last axis of ``name`` is a softmax."""
    softmax = graph.maker(name, "Softmax")
    return softmax is not None and attribute(softmax, "axis", -1) in (-1, len(graph.shapes.get(name, ())) - 1)


def tensors_before(graph: Graph, name: str) -> list[str]:
    """Return the tensors that ``name`` is made of by nothing but changes of layout, the first of them first, and ``name``."""
    found = [name]
    while (node := graph.maker(found[0], *LAYOUT)) is not None and graph.stored.keys() >= set(filter(None, node.input[1:])):
        found.insert(0, node.input[0])
    return found


def labels_of(graph: Graph, name: str) -> AnyArray | None:
    """Return an array like ``name`` that holds the number of its channel everywhere; of two windows where the batch is free."""
    shape = graph.shapes.get(name, ())
    if len(shape) < 2:
        return None
    windows = 1 if fixed_batch(graph) else 2
    return np.broadcast_to(np.arange(shape[-1], dtype=np.float32), (windows * shape[0], *shape[1:]))


def fixed_batch(graph: Graph) -> bool:
    """Say whether the number of windows is fixed: the first size of every input."""
    sizes = [value.type.tensor_type.shape.dim for value in graph.proto.graph.input if value.name not in graph.stored]
    return all(len(size) > 0 and size[0].dim_value > 0 for size in sizes)


def relabelled(graph: Graph, tensors: list[str], labels: AnyArray | None) -> AnyArray | None:
    """Return where the nodes between ``tensors`` put ``labels``; None if they do not take them."""
    if labels is None or len(tensors) == 1:
        return labels
    nodes = [graph.makers[name] for name in tensors[1:]]
    constants = {name for node in nodes for name in node.input if name in graph.stored}
    stored = [numpy_helper.from_array(value, name) for name in constants if (value := graph.value(name)) is not None]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (tensors[0], tensors[-1])]
    model = helper.make_model(
        helper.make_graph(nodes, "layout", ends[:1], ends[1:], stored),
        opset_imports=[helper.make_opsetid("", graph.opset)],
        ir_version=graph.proto.ir_version,
    )
    try:
        (found,) = ReferenceEvaluator(model).run(None, {tensors[0]: np.ascontiguousarray(labels)})
    except Exception:  # of many types: a layout of one window where there are two, an operator that it lacks
        return None
    return np.asarray(found)


def by_channel(labels: AnyArray | None) -> IndexArray | None:
    """Return the label of each channel if all rows agree, else None."""
    if labels is None or labels.ndim < 2:
        return None
    rows = labels.reshape(-1, labels.shape[-1])
    return rows[0].astype(np.int64) if (rows == rows[0]).all() else None
