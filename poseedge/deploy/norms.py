"""Where the layer normalisations of a graph are, whole or spelt out in primitive operators."""

from __future__ import annotations

import onnx

from poseedge.deploy.graph import makers


def norm_outputs(model: onnx.ModelProto) -> set[str]:
    """Return what the nodes of all layer normalisations give."""
    whole = {node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization"}
    return whole | spelt_out_norms(model)


def spelt_out_norms(model: onnx.ModelProto) -> set[str]:
    """Return what the nodes of spelt-out layer normalisations give, from mean and difference to the division by the deviation.

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
