"""FP16: the graph with half-precision weights and casts inside, float32 keypoints and joints outside."""

from __future__ import annotations

import numpy as np
import onnx

from poseedge.deploy.graph import consumers, initializers, matches
from poseedge.errors import require

HALF_MAX = float(np.finfo(np.float16).max)
HALF_TINY = float(np.finfo(np.float16).smallest_subnormal)


def to_fp16(model: onnx.ModelProto, keep: list[str]) -> onnx.ModelProto:
    """Return ``model`` in half precision, valid for strong typing.

    ``keep`` names, as patterns, the weights whose nodes stay in float32. Two kinds stay so by structure: where layer
    normalisation is spelt out (opset < 17) its reductions, since squares overflow half precision beyond 255, and the
    frame selection of pruned networks, since a rounded distance is another choice.
    """
    float16 = require("onnxconverter_common.float16", "export")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    weights = initializers(model)
    kept = [n.name for n in model.graph.node if any(i in weights and matches(i.removesuffix(".weight"), keep) for i in n.input)]
    converted: onnx.ModelProto = float16.convert_float_to_float16(
        copy,
        min_positive_val=HALF_TINY,
        max_finite_val=HALF_MAX,
        keep_io_types=True,
        node_block_list=kept + sorted(normalization_nodes(model) | selection_nodes(model)),
    )
    return without_round_trips(converted)


def selection_nodes(model: onnx.ModelProto) -> set[str]:
    """Return the nodes that serve nothing but a TopK: what chooses frames, from the pooled features on."""
    readers, given = consumers(model), {value.name for value in model.graph.output}
    names: set[str] = set()
    for node in reversed(model.graph.node):
        reading = [reader.name for name in node.output for reader in readers[name]]
        if node.op_type == "TopK" or (reading and names.issuperset(reading) and given.isdisjoint(node.output)):
            names.add(node.name)
    return names


def without_round_trips(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let what stays in float32 read float32: the converter casts down after such a node and up before the next.

    It removes such pairs itself, but not where a tensor has several readers. ``model`` is edited and returned.
    """
    half = {node.output[0]: node.input[0] for node in model.graph.node if casts_to(node, onnx.TensorProto.FLOAT16)}
    exact = {
        node.output[0]: half[node.input[0]]
        for node in model.graph.node
        if casts_to(node, onnx.TensorProto.FLOAT) and node.input[0] in half
    }
    given = {value.name for value in model.graph.output}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = exact.get(name, name)
    for unread in (exact, half):  # a cast up goes first: it reads the cast down
        read = {name for node in model.graph.node for name in node.input} | given
        for node in [node for node in model.graph.node if node.output[0] in unread and node.output[0] not in read]:
            model.graph.node.remove(node)
    return model


def casts_to(node: onnx.NodeProto, kind: int) -> bool:
    """Say whether ``node`` casts to this type."""
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)


def normalization_nodes(model: onnx.ModelProto) -> set[str]:
    """Return the nodes of spelt-out layer normalisations, from mean and difference to the division by the deviation."""
    made_by = {name: node for node in model.graph.node for name in node.output}

    def sources(node: onnx.NodeProto, *kinds: str) -> list[onnx.NodeProto]:
        found = [made_by[name] for name in node.input if name in made_by]
        return [source for source in found if source.op_type in kinds]

    nodes: list[onnx.NodeProto] = []
    for division in model.graph.node:
        if division.op_type == "Div" and (root := sources(division, "Sqrt")):
            variance = sources(root[0], "Add")  # plus epsilon
            squares = [source for node in variance for mean in sources(node, "ReduceMean") for source in sources(mean, "Pow")]
            means = [mean for node in variance for mean in sources(node, "ReduceMean")]
            difference = sources(division, "Sub")
            nodes += [division, *root, *variance, *means, *squares, *difference]
            nodes += [mean for node in difference for mean in sources(node, "ReduceMean")]
    return {node.name for node in nodes}
