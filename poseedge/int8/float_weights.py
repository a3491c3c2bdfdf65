"""INT8 weights for TensorRT before 10: stored as float, with the Q that makes the same integers of them.

A lone DequantizeLinear over INT8 constants is what we write elsewhere: the file is a third of the size. TensorRT 8.2 and 8.4
refuse it ("invalid weights type of Int8": NVIDIA/TensorRT #2163, Sparsebit #16), 8.5 to 9 very likely (#2604;
trt-engine-explorer up to 9.3: no INT8 weights for explicit quantization).
"""

from __future__ import annotations

import numpy as np
from onnx import helper

from poseedge.arrays import AnyArray, Float32Array
from poseedge.graph.graph import Graph
from poseedge.graph.nodes import attribute


def store_weights_as_float(graph: Graph) -> None:
    """Give each INT8 constant that is dequantized a float one, value times scale, and a QuantizeLinear.

    The integers are those that were stored: rounding ``value * scale / scale`` in float32 gives ``value`` for all of them.
    """
    for node in list(graph.of("DequantizeLinear")):
        values, scale = graph.value(node.input[0]), graph.value(node.input[1])
        if values is None or scale is None or values.dtype != np.int8:
            continue
        axis = attribute(node, "axis", 1)
        weight = graph.add_constant(f"{node.input[0]}_float", values.astype(np.float32) * along(scale, axis, values))
        rounded = f"{node.input[0]}_rounded"
        axes = {"axis": axis} if scale.ndim else {}
        quantize = helper.make_node("QuantizeLinear", [weight, *node.input[1:]], [rounded], name=f"{node.name}_Q", **axes)
        graph.insert(quantize, before=node)
        graph.set_input(node, 0, rounded)
    graph.prune()


def store_weights_as_integers(graph: Graph) -> None:
    """Store what each QuantizeLinear makes of a constant, and remove it: the other way round."""
    for node in list(graph.of("QuantizeLinear")):
        weight, scale, zero = (graph.value(name) for name in [*node.input, "", ""][:3])
        if weight is None or scale is None or zero is None or zero.dtype != np.int8 or zero.any():
            continue
        values = np.clip(np.rint(weight / along(scale, attribute(node, "axis", 1), weight)), -128, 127).astype(np.int8)
        stored = graph.add_constant(f"{node.output[0]}_stored", values)
        for reader in list(graph.readers[node.output[0]]):
            graph.set_input(reader, list(reader.input).index(node.output[0]), stored)
        graph.remove(node)
    graph.prune()


def along(scale: AnyArray, axis: int, values: AnyArray) -> Float32Array:
    """Return one scale, or one for each place on ``axis``, so that it multiplies ``values``."""
    shape = [-1 if place == axis % values.ndim else 1 for place in range(values.ndim)] if scale.ndim else []
    return scale.astype(np.float32).reshape(shape)
