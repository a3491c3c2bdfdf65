"""FP16: the graph with half-precision weights and casts inside, float32 keypoints and joints outside."""

from __future__ import annotations

import numpy as np
import onnx

from poseedge.deploy.graph import initializers, matches
from poseedge.errors import require

HALF_MAX = float(np.finfo(np.float16).max)
HALF_TINY = float(np.finfo(np.float16).smallest_subnormal)


def to_fp16(model: onnx.ModelProto, keep: list[str]) -> onnx.ModelProto:
    """Return ``model`` in half precision, valid for strong typing.

    ``keep`` names, as patterns, the weights whose nodes stay in float32. Where a norm is spelt out (below opset
    17, or one that is no LayerNormalization) its reductions stay in float32 too: squares overflow half precision beyond 255.
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
        node_block_list=kept + sorted(normalization_nodes(model)),
    )
    return converted


def normalization_nodes(model: onnx.ModelProto) -> set[str]:
    """Return the nodes of spelt-out layer normalisations, from mean and difference to the division by the deviation.

    The deviation is a root of the mean square plus epsilon, or the difference's length plus epsilon.
    """
    made_by = {name: node for node in model.graph.node for name in node.output}

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
    return {node.name for node in nodes}
