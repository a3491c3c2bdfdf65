"""Exact rewritings for a GPU, where a kernel's launch costs more than what it computes: fewer, wider products.

They are for boards alone. On a CPU the zeros between two joined MLPs are multiplied (a Xeon: 2 to 5 % of the network's time),
and queries, keys and values of one product are copied apart again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper

from poseedge.arrays import AnyArray
from poseedge.graph.cpu_form import chain_forward, scale_before_reshape
from poseedge.graph.graph import Graph
from poseedge.graph.nodes import attribute

ELEMENTWISE = {"Add", "Div", "Erf", "Gelu", "Mul"}  # what GELU is written with


def device_form(graph: Graph) -> Graph:
    """Return a copy that takes fewer launches."""
    copy = graph.copy()
    scale_before_reshape(copy)
    join_layers(copy)
    return copy


def fewer_products(graph: Graph) -> Graph:
    """Return a copy with layers joined and no more, which INT8 is made of: wide factors save it nothing and take room."""
    copy = graph.copy()
    join_layers(copy)
    return copy


def join_layers(graph: Graph) -> None:
    """Join branches and projections; a joined layer is called by the names of all, with ``+`` between. ``graph`` is edited."""
    join_branches(graph)
    join_projections(graph)
    graph.prune()
    graph.state_shapes()


@dataclass(frozen=True)
class Branch:
    """An MLP: two layers, each a product and the Add of its bias."""

    first: NodeProto
    first_bias: NodeProto
    second: NodeProto
    second_bias: NodeProto

    @property
    def nodes(self) -> list[NodeProto]:
        """The nodes that read its weights and biases, in order."""
        return [self.first, self.first_bias, self.second, self.second_bias]


def join_branches(graph: Graph) -> None:
    """Write MLPs that each take a part of the channels, and whose results stand side by side again, as one with wider layers.

    Its weights are zero between the parts. ``graph`` is edited.
    """
    for join in list(graph.of("Concat")):
        found = [branch_before(graph, name) for name in join.input]
        branches = [branch for branch in found if branch is not None]
        if len(branches) != len(found) or not split_for(graph, branches, join):
            continue
        one = branches[0]
        split = graph.makers[one.first.input[0]]
        for place, node in enumerate(one.nodes):
            alike = [branch.nodes[place] for branch in branches]
            side = stored_side(graph, node)
            values = [constant_of(graph, other) for other in alike]
            joined = np.concatenate(values) if values[0].ndim == 1 else block_diagonal(values)
            graph.set_input(
                node, side, graph.add_constant(joined_name([other.input[stored_side(graph, other)] for other in alike]), joined)
            )
        graph.set_input(one.first, 0, split.input[0])
        graph.remove(join)
        graph.rename_output(one.second_bias, join.output[0])
        graph.prune()


def joined_name(names: list[str]) -> str:
    """Return what the joined constant of layers is called, of theirs: ``a+b.weight`` for ``a.weight`` and ``b.weight``."""
    stems, ends = zip(*(name.rpartition(".")[::2] if "." in name else (name, "") for name in names), strict=True)
    return "+".join(stems) + (f".{ends[0]}" if ends[0] else "")


def branch_before(graph: Graph, name: str) -> Branch | None:
    """Return the MLP that gives ``name``, which nothing but the join reads; or None."""
    second_bias = graph.maker(name, "Add")
    second = product_of(graph, second_bias)
    if second_bias is None or second is None or len(graph.readers[name]) != 1 or len(graph.readers[second.input[0]]) != 1:
        return None
    first_bias = bias_behind(graph, second.input[0])
    first = product_of(graph, first_bias)
    return None if first is None or first_bias is None else Branch(first, first_bias, second, second_bias)


def product_of(graph: Graph, bias: NodeProto | None) -> NodeProto | None:
    """Return the layer's product that ``bias`` adds a constant row to; or None."""
    if bias is None or not any(name in graph.stored and len(graph.stored[name].dims) == 1 for name in bias.input):
        return None
    product = graph.maker(bias.input[1 - stored_side(graph, bias)], "MatMul")
    return product if product is not None and product.input[1] in graph.stored else None


def bias_behind(graph: Graph, name: str) -> NodeProto | None:
    """Return the Add of a bias that ``name`` is computed from element by element, with constants that are one number each."""
    ends: dict[str, NodeProto] = {}
    waiting = [name]
    while waiting:
        node = graph.maker(waiting.pop(), *ELEMENTWISE)
        if node is None:
            return None
        if node.op_type == "Add" and product_of(graph, node) is not None:
            ends[node.output[0]] = node
            continue
        if any(graph.stored[other].dims for other in node.input if other in graph.stored):
            return None
        waiting += [other for other in node.input if other not in graph.stored]
    return next(iter(ends.values())) if len(ends) == 1 else None


def split_for(graph: Graph, branches: list[Branch], join: NodeProto) -> bool:
    """Say whether one Split of the channels feeds these branches alone, in their order, and ``join`` joins channels."""
    split = graph.maker(branches[0].first.input[0], "Split")
    rank = len(graph.shapes.get(join.output[0], ()))
    if split is None or [branch.first.input[0] for branch in branches] != list(split.output) or rank != 2:
        return False
    alone = all(len(graph.readers[name]) == 1 for name in split.output)
    return alone and attribute(split, "axis") in (-1, rank - 1) and attribute(join, "axis") in (-1, rank - 1)


def stored_side(graph: Graph, node: NodeProto) -> int:
    """Return which input of ``node`` is the constant."""
    return next(place for place, name in enumerate(node.input) if name in graph.stored)


def constant_of(graph: Graph, node: NodeProto) -> AnyArray:
    """Return the constant that ``node`` reads."""
    value = graph.value(node.input[stored_side(graph, node)])
    assert value is not None
    return value


def block_diagonal(blocks: list[AnyArray]) -> AnyArray:
    """Return one matrix with ``blocks`` along its diagonal and zeros elsewhere."""
    rows, columns = (sum(block.shape[axis] for block in blocks) for axis in (0, 1))
    whole = np.zeros((rows, columns), blocks[0].dtype)
    row = column = 0
    for block in blocks:
        whole[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return whole


@dataclass(frozen=True)
class Projected:
    """Queries, keys or values: a product, the Add of a bias if there is one, and their split into heads."""

    product: NodeProto
    bias: NodeProto | None
    rows: NodeProto  # the Reshape to (batch, tokens, heads, width)
    turned: NodeProto  # the Transpose that puts heads first


def join_projections(graph: Graph) -> None:
    """Let one product make the queries, keys and values of a self-attention, heads first in rank 3. ``graph`` is edited.

    Attention whose windows lie side by side in the rows, as joints in MixSTE do, stays as it is.
    """
    for softmax in list(graph.of("Softmax")):
        scores, mixed = graph.maker(softmax.input[0], "MatMul"), graph.reader(softmax.output[0], "MatMul")
        if scores is None or mixed is None:
            continue
        found = [projected(graph, name) for name in (*scores.input, mixed.input[1])]
        after = chain_forward(graph, mixed, ["Transpose", "Reshape"])
        parts = [part for part in found if part is not None]
        if len(parts) == 3 and after and joinable(graph, parts):
            join_parts(graph, parts, [scores, softmax, mixed, *after])


def projected(graph: Graph, name: str) -> Projected | None:
    """Return how ``name`` was projected from rows; or None."""
    turned = graph.maker(name, "Transpose")
    rows = graph.maker(turned.input[0], "Reshape") if turned is not None else None
    if turned is None or rows is None:
        return None
    bias = graph.maker(rows.input[0], "Add")
    product = product_of(graph, bias) if bias is not None else graph.maker(rows.input[0], "MatMul")
    if product is None or product.input[1] not in graph.stored or len(graph.readers[product.output[0]]) != 1:
        return None
    return Projected(product, bias, rows, turned)


def joinable(graph: Graph, parts: list[Projected]) -> bool:
    """Say whether queries, keys and values come of the same rows, are as many, and of one window that fills the rows."""
    query, key, value = parts
    shapes = [graph.value(part.rows.input[1]) for part in parts]
    known = [shape for shape in shapes if shape is not None]
    if len(known) != 3 or len({part.product.input[0] for part in parts}) != 1 or len({tuple(shape) for shape in known}) != 1:
        return False
    turns = [attribute(part.turned, "perm") for part in parts]
    made = graph.shapes.get(query.product.output[0])
    whole = len(known[0]) == 4 and made == (known[0][1], known[0][2] * known[0][3])
    return whole and turns == [[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]] and key.product is not value.product


def join_parts(graph: Graph, parts: list[Projected], rest: list[NodeProto]) -> None:
    """Write the attention of ``parts``, whose other nodes are ``rest``, from the scores to the rows, with one product."""
    scores, softmax, mixed, back, last = rest
    name, source = last.name, parts[0].product.input[0]
    shape = graph.value(parts[0].rows.input[1])
    assert shape is not None
    tokens, heads, width = (int(size) for size in shape[1:])
    weights = [graph.value(part.product.input[1]) for part in parts]
    called = joined_name([part.product.input[1] for part in parts])
    weight = graph.add_constant(called, np.concatenate([value for value in weights if value is not None], axis=1))
    biases = [np.zeros(heads * width, np.float32) if part.bias is None else constant_of(graph, part.bias) for part in parts]
    constants = {"bias": np.concatenate(biases), "shape": np.array([tokens, 3 * heads, width], np.int64)}
    constants |= {"thirds": np.array([heads] * 3, np.int64)}
    bias, rows, thirds = (graph.add_constant(f"{name}_{kind}", value) for kind, value in constants.items())
    given = [f"{name}_{kind}" for kind in ("product", "sum", "rows", "heads", "query", "key", "value", "turned")]
    product, total, by_token, by_head, query, key, value, turned = given
    nodes = [
        helper.make_node("MatMul", [source, weight], [product], name=product),
        helper.make_node("Add", [product, bias], [total], name=total),
        helper.make_node("Reshape", [total, rows], [by_token], name=by_token),
        helper.make_node("Transpose", [by_token], [by_head], name=by_head, perm=[1, 0, 2]),
        helper.make_node("Split", [by_head, thirds], [query, key, value], name=f"{name}_split", axis=0),
        helper.make_node("Transpose", [key], [turned], name=turned, perm=[0, 2, 1]),
        helper.make_node("MatMul", [query, turned], list(scores.output), name=scores.name),
        helper.make_node("Softmax", list(softmax.input), list(softmax.output), name=softmax.name, axis=-1),
        helper.make_node("MatMul", [softmax.output[0], value], list(mixed.output), name=mixed.name),
        helper.make_node("Transpose", list(mixed.output), list(back.output), name=back.name, perm=[1, 0, 2]),
    ]
    for node in nodes:
        graph.insert(node, before=last)
    graph.remove(back, mixed, softmax, scores)
