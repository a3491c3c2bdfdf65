"""Where INT8 goes in a graph: by structure, by size and by name, never by the name of a network.

Level A takes Linear layers; B adds the products of attention with the softmax's output, quantized as they are: only a
layer's bias can compensate a centre.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from onnx import NodeProto

from poseedge.graph.channels import Origin
from poseedge.graph.graph import Graph
from poseedge.graph.nodes import check_patterns, matches
from poseedge.graph.structure import layer_results, leading_to_selection, raw_results
from poseedge.int8.centring import Centring, is_plain, norm_origins, value_origins

Level = Literal["A", "B"]
LEVELS: tuple[Level, ...] = get_args(Level)

SMALLEST = 16  # TensorRT's INT8 kernels need K and N of at least this; below, Q/DQ only slows the layer down


@dataclass(frozen=True)
class Placement:
    """What takes INT8, by the name of the node's output."""

    layers: dict[str, NodeProto]  # by layer name: weight and input are quantized
    two_step: frozenset[str]  # outputs of those layers whose input is rounded in two steps
    attention: frozenset[str]  # outputs of attention products, both of whose inputs are quantized as they are
    tensors: dict[str, tuple[str, Centring]]  # key -> tensor to calibrate, and who centres it
    norms: dict[str, Origin] = field(default_factory=dict)  # of what a norm centres
    values: dict[str, Origin] = field(default_factory=dict)  # of what the values' layer centres

    @property
    def two_step_names(self) -> list[str]:
        """The two-step layers, by name."""
        return sorted(name for name, node in self.layers.items() if node.output[0] in self.two_step)

    def behind_norm(self, key: str) -> Origin | None:
        """Return where a tensor comes from that a norm centres and a change of layout stands before."""
        origin = self.norms.get(key)
        return origin if origin is not None and len(origin.tensors) > 1 else None


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
    products = attention_products(graph, smallest) if level == "B" else []
    rounded = frozenset(node.output[0] for node in products)
    selecting = leading_to_selection(graph) & outputs
    twice = {node.output[0] for name, node in layers.items() if matches(name, two_step or [])} | selecting
    norms, values = norm_origins(graph, outputs), value_origins(graph, outputs, set(rounded))
    divided = divided_norms(graph, norms, selecting)
    tensors: dict[str, tuple[str, Centring]] = {
        name: (name, "bias" if name in values else "add") for name in (node.input[0] for node in layers.values())
    }
    for name, origin in norms.items():
        source = origin.tensors[0]
        tensors |= {key: (key, "norm" if source in divided else "bias") for key in (name, source)}
    tensors |= {plain_key(name): (name, "none") for node in products for name in node.input}
    return Placement(layers, frozenset(twice), rounded, tensors, norms, values)


def divided_norms(graph: Graph, norms: dict[str, Origin], selecting: set[str]) -> set[str]:
    """Return the norms that some layer reads which no frame selection depends on.

    Others are not divided: their layers round twice, so what is left is the error of the weights, which dividing moves.
    """
    return {
        origin.tensors[0]
        for name, origin in norms.items()
        if any(reader.output[0] not in selecting for reader in graph.readers[name] if reader.op_type in ("MatMul", "Gemm"))
    }


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
