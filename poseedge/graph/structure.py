"""What the structure of a graph tells of its tensors: what is still raw, what a norm gives, what a frame selection depends on.

Sets are of names of tensors, by which foreign graphs tell their nodes apart too.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from poseedge.caches import CACHE
from poseedge.graph.graph import Graph

# What selects: frames of a window by TopK, neighbours in a graph by comparing how alike they are.
COMPARING = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
SELECTING = {"TopK", *COMPARING}


def raw_results(graph: Graph) -> set[str]:
    """Return what nodes make of raw coordinates: those that a path from the input reaches past no layer and no norm.

    Layers and norms that read such coordinates are among them; what they give is raw no more.
    """
    ends = norm_results(graph) | layer_results(graph)
    raw, found = {name for name in graph.inputs if not name.startswith(CACHE)}, set[str]()
    for node in graph.nodes:
        if not raw.isdisjoint(node.input):
            found.update(node.output)
            if node.output[0] not in ends:
                raw.update(node.output)
    return found


def layer_results(graph: Graph) -> set[str]:
    """Return what layers give: Linear ones, and convolutions, by which other exporters write them."""
    linear = {node.output[0] for node in graph.layers.values()}
    return linear | {node.output[0] for node in graph.of("Conv")}


def leading_to_selection(graph: Graph) -> set[str]:
    """Return all that a selection of frames or neighbours is computed from, and what it gives."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op_type in SELECTING or not found.isdisjoint(node.output):
            found.update(node.input, node.output)
    return found


def chooses_neighbours(graph: Graph) -> bool:
    """Say whether the graph computes, of every window anew, which frames are neighbours: it compares, and sorts nothing."""
    return not any(graph.of("TopK")) and any(not graph.constant.issuperset(node.output) for node in graph.of(*COMPARING))


def serving_selection_only(graph: Graph) -> set[str]:
    """Return what serves a selection of frames or neighbours and nothing else: from the pooled features, or the likeness, on."""
    given = set(graph.outputs)
    found: set[str] = set()
    for node in reversed(graph.nodes):
        reading = [reader for name in node.output for reader in graph.readers[name]]
        serving = reading and all(found.issuperset(reader.output) for reader in reading) and given.isdisjoint(node.output)
        if node.op_type in SELECTING or serving:
            found.update(node.output)
    return found


def norm_results(graph: Graph) -> set[str]:
    """Return what the nodes of all layer normalisations give."""
    whole = {node.output[0] for node in graph.of("LayerNormalization")}
    return whole | decomposed_norms(graph)


def scaled_norms(graph: Graph) -> set[str]:
    """Return what layer normalisations with a scale of their own give: those whose scale no fold could move on."""
    scaled, decomposed = set[str](), decomposed_norms(graph)
    for node in graph.nodes:
        constant = [name for name in node.input if name in graph.stored]
        whole = node.op_type == "LayerNormalization" and constant and not np.all(graph.value(constant[0]) == 1)
        scale = node.op_type == "Mul" and constant and not decomposed.isdisjoint(node.input)
        bias = node.op_type == "Add" and constant and not scaled.isdisjoint(node.input)
        if whole or scale or bias:
            scaled.add(node.output[0])
    return scaled


def pooled_norms(graph: Graph) -> set[str]:
    """Return the weighted means over tokens of what a norm gives, with the norm's scale and bias behind them.

    A pose is computed of such a mean alone, so that what its weights and its scale lose by rounding is the same in every window.
    """
    norms, found = norm_results(graph), set[str]()
    for scale in graph.of("Mul"):
        means = [mean for name in scale.input if (mean := graph.maker(name, "MatMul"))]
        constant = not graph.stored.keys().isdisjoint(scale.input)
        if constant and means and means[0].input[0] in graph.stored and means[0].input[1] in norms:
            bias = graph.reader(scale.output[0], "Add")
            found.update(means[0].output, scale.output, bias.output if bias is not None else ())
    return found


def dequantizer(graph: Graph, name: str) -> NodeProto | None:
    """Return the DequantizeLinear that ``name`` comes from, through nothing but changes of layout and type; or None."""
    node = graph.makers.get(name)
    while node is not None and node.op_type in ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Cast"):
        node = graph.makers.get(node.input[0])
    return node if node is not None and node.op_type == "DequantizeLinear" else None


def decomposed_norms(graph: Graph) -> set[str]:
    """Return what the nodes of decomposed layer normalisations give, from mean and difference to the division by the deviation.

    The deviation is a root of the mean square plus epsilon, or the difference's length plus epsilon.
    """

    def sources(node: NodeProto, *kinds: str) -> list[NodeProto]:
        return [source for name in node.input if (source := graph.maker(name, *kinds))]

    nodes: list[NodeProto] = []
    for division in graph.of("Div"):
        if root := sources(division, "Sqrt"):
            variance = sources(root[0], "Add")  # plus epsilon
            means = [mean for node in variance for mean in sources(node, "ReduceMean")]
            squares = [square for mean in means for square in sources(mean, "Pow")]
            deviation = [*root, *variance, *means, *squares]
        elif lengths := [length for sum_ in sources(division, "Add") for length in sources(sum_, "ReduceL2")]:
            deviation = [*sources(division, "Add"), *lengths]
        else:
            continue
        difference = sources(division, "Sub")
        nodes += [division, *deviation, *difference]
        nodes += [mean for node in difference for mean in sources(node, "ReduceMean")]
    return {node.output[0] for node in nodes}
