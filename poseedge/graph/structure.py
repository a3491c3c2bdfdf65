"""What the structure of a graph tells of its tensors: what is still raw, what a norm gives, what a frame selection depends on.

Every function returns names of tensors, by which foreign graphs tell their nodes apart too.
"""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from poseedge.graph.graph import consumers, initializers, linear_layers, makers


def raw_results(model: onnx.ModelProto) -> set[str]:
    """Return what nodes make of raw coordinates: those that a path from the input reaches past no layer and no norm.

    Layers and norms that read such coordinates are among them; what they give is raw no more.
    """
    ends = norm_results(model) | layer_results(model)
    raw, found = {value.name for value in model.graph.input}, set[str]()
    for node in model.graph.node:
        if not raw.isdisjoint(node.input):
            found.update(node.output)
            if node.output[0] not in ends:
                raw.update(node.output)
    return found


def layer_results(model: onnx.ModelProto) -> set[str]:
    """Return what layers give: Linear ones, and convolutions, by which other exporters write them."""
    linear = {node.output[0] for node in linear_layers(model).values()}
    return linear | {node.output[0] for node in model.graph.node if node.op_type == "Conv"}


def leading_to_selection(model: onnx.ModelProto) -> set[str]:
    """Return all that a TopK, which chooses frames, is computed from, and what it gives."""
    found: set[str] = set()
    for node in reversed(model.graph.node):
        if node.op_type == "TopK" or not found.isdisjoint(node.output):
            found.update(node.input, node.output)
    return found


def serving_selection_only(model: onnx.ModelProto) -> set[str]:
    """Return what serves a frame selection and nothing else: from the pooled features on."""
    readers, given = consumers(model), {value.name for value in model.graph.output}
    found: set[str] = set()
    for node in reversed(model.graph.node):
        reading = [reader for name in node.output for reader in readers[name]]
        serving = reading and all(found.issuperset(reader.output) for reader in reading) and given.isdisjoint(node.output)
        if node.op_type == "TopK" or serving:
            found.update(node.output)
    return found


def norm_results(model: onnx.ModelProto) -> set[str]:
    """Return what the nodes of all layer normalisations give."""
    whole = {node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization"}
    return whole | decomposed_norms(model)


def scaled_norms(model: onnx.ModelProto) -> set[str]:
    """Return what layer normalisations with a scale of their own give: those whose scale no fold could move on."""
    constants, scaled = initializers(model), set[str]()
    decomposed = decomposed_norms(model)
    for node in model.graph.node:
        constant = [constants[name] for name in node.input if name in constants]
        whole = node.op_type == "LayerNormalization" and constant and not (numpy_helper.to_array(constant[0]) == 1).all()
        scale = node.op_type == "Mul" and constant and not decomposed.isdisjoint(node.input)
        bias = node.op_type == "Add" and constant and not scaled.isdisjoint(node.input)
        if whole or scale or bias:
            scaled.add(node.output[0])
    return scaled


def decomposed_norms(model: onnx.ModelProto) -> set[str]:
    """Return what the nodes of decomposed layer normalisations give, from mean and difference to the division by the deviation.

    The deviation is a root of the mean square plus epsilon, or the difference's length plus epsilon.
    """
    made_by = makers(model)

    def sources(node: onnx.NodeProto, *kinds: str) -> list[onnx.NodeProto]:
        found = [made_by[name] for name in node.input if name in made_by]
        return [source for source in found if source.op_type in kinds]

    nodes: list[onnx.NodeProto] = []
    for division in model.graph.node:
        if division.op_type != "Div":
            continue
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
