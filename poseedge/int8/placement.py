"""Where INT8 goes in a graph: by structure, by size and by name, never by the name of a network.

Level A takes Linear layers; B adds the products of attention with the softmax's output, quantized as they are: only a
layer's bias can compensate a centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from onnx import NodeProto

from poseedge.graph.graph import Graph
from poseedge.graph.nodes import attribute, check_patterns, matches
from poseedge.graph.structure import layer_results, leading_to_selection, raw_results

Level = Literal["A", "B"]
LEVELS: tuple[Level, ...] = get_args(Level)
Centring = Literal["norm", "add", "none"]  # a norm's bias does it, an addition does it, nothing can

SMALLEST = 16  # TensorRT's INT8 kernels need K and N of at least this; below, Q/DQ only slows the layer down


@dataclass(frozen=True)
class Placement:
    """What takes INT8, by the name of the node's output."""

    layers: dict[str, NodeProto]  # by layer name: weight and input are quantized
    two_step: frozenset[str]  # outputs of those layers whose input is rounded in two steps
    attention: frozenset[str]  # outputs of attention products, both of whose inputs are quantized as they are
    tensors: dict[str, tuple[str, Centring]]  # key -> tensor to calibrate, and who centres it

    @property
    def two_step_names(self) -> list[str]:
        """The two-step layers, by name."""
        return sorted(name for name, node in self.layers.items() if node.output[0] in self.two_step)


def place(
    graph: Graph,
    keep: list[str] | None = None,
    two_step: list[str] | None = None,
    level: Level = "A",
    smallest: int = SMALLEST,
) -> Placement:
    """Return where INT8 goes; ``keep`` and ``two_step`` are patterns over the names of layers.

    ``two_step`` layers round their input twice: the second time what the first took away, more finely. So do, by
    structure, those that a frame selection depends on: rounded once, they select others.
    """
    layers = quantizable_layers(graph, keep or [], smallest)
    check_patterns(two_step or [], list(layers), "no INT8 layer matches")
    outputs = {node.output[0] for node in layers.values()}
    free = free_norms(graph, outputs)
    products = attention_products(graph, smallest) if level == "B" else []
    tensors: dict[str, tuple[str, Centring]] = {
        node.input[0]: (node.input[0], "norm" if node.input[0] in free else "add") for node in layers.values()
    }
    tensors |= {plain_key(name): (name, "none") for node in products for name in node.input}
    twice = {node.output[0] for name, node in layers.items() if matches(name, two_step or [])}
    twice |= leading_to_selection(graph) & outputs
    return Placement(layers, frozenset(twice), frozenset(node.output[0] for node in products), tensors)


def plain_key(tensor: str) -> str:
    """Return the key of a tensor that is quantized as it is; a layer may read the same one centred."""
    return f"{tensor}_plain"


def quantizable_layers(graph: Graph, keep: list[str], smallest: int = SMALLEST) -> dict[str, NodeProto]:
    """Return the layers that take INT8, by name.

    Left out: layers that match a pattern in ``keep``, those narrower than ``smallest``, and, by structure, the first layers
    behind the input (raw coordinates need more than 8 bits) and the last before the output (metres do too).
    """
    check_patterns(keep, list(graph.layers), "no layer matches")
    outer = first_layers(graph) | last_layers(graph)
    return {
        name: node
        for name, node in graph.layers.items()
        if node.output[0] not in outer
        and min(graph.stored[node.input[1]].dims) >= smallest
        and not matches(name, keep)
        and is_plain(node)
    }


def is_plain(node: NodeProto) -> bool:
    """Say whether a layer multiplies rows by its weight and no more: a Gemm may also scale and transpose."""
    return not attribute(node, "transA", 0) and attribute(node, "alpha", 1) == 1 == attribute(node, "beta", 1)


def first_layers(graph: Graph) -> set[str]:
    """Return the results of layers that no other precedes, and that read raw coordinates though another had a part in them."""
    linear = {node.output[0] for node in graph.layers.values()}
    raw, behind = raw_results(graph), layer_results(graph)
    found = set()
    for node in graph.nodes:
        second = not behind.isdisjoint(node.input)
        if node.output[0] in linear and (node.output[0] in raw or not second):
            found.add(node.output[0])
        elif second:
            behind.update(node.output)
    return found


def last_layers(graph: Graph) -> set[str]:
    """Return the results of layers from which some path reaches the graph's output without another layer."""
    linear = {node.output[0] for node in graph.layers.values()}
    final, found = set(graph.outputs), set()
    for node in reversed(graph.nodes):
        if final.intersection(node.output):
            if node.output[0] in linear:
                found.add(node.output[0])
            else:
                final.update(node.input)
    return found


def free_norms(graph: Graph, chosen: set[str]) -> set[str]:
    """Return the norms' outputs whose centring is free: the norm's bias can take it, its readers' biases compensate it."""
    free = set()
    for node in graph.of("LayerNormalization"):
        if node.output[0] in graph.outputs:
            continue
        constant = all(name in graph.stored for name in node.input[1:])
        reading = graph.readers[node.output[0]]
        quantized = bool(reading) and all(reader.output[0] in chosen for reader in reading)
        if constant and quantized and all(reader.op_type == "Gemm" or bias_add(graph, reader) for reader in reading):
            free.add(node.output[0])
    return free


def bias_add(graph: Graph, layer: NodeProto) -> NodeProto | None:
    """Return the Add of a constant that alone reads what a layer gives, or None."""
    added = graph.reader(layer.output[0], "Add")
    return added if added is not None and any(name in graph.stored for name in added.input) else None


def attention_products(graph: Graph, smallest: int = SMALLEST) -> list[NodeProto]:
    """Return the products of two activations before and after a softmax.

    Left out are those with fewer than ``smallest`` in the summed or the last axis, and those of unknown size.
    """
    found = []
    for node in graph.of("MatMul"):
        before = [graph.maker(name, "Softmax") for name in node.input]
        after = [reader for reader in graph.readers[node.output[0]] if reader.op_type == "Softmax"]
        sizes = [size for name in node.input for size in graph.shapes.get(name, ())[-2:]]
        plain = graph.stored.keys().isdisjoint(node.input) and (any(before) or after)
        if plain and len(sizes) == 4 and min(sizes[1], sizes[3]) >= smallest:
            found.append(node)
    return found
