"""The small NanoHTNet as a graph, and graphs written by hand."""

from __future__ import annotations

from functools import cache

import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.arrays import AnyArray, Float32Array
from poseedge.fold import fold
from poseedge.graph.graph import Graph
from poseedge.graph.trace import simplify, trace
from tests.support import golden

FRAMES = 27


def traced(opset: int, free_batch: bool = False) -> Graph:
    """Return the folded small network as the exporter writes it; do not change it."""
    return _traced(opset, free_batch)


@cache
def _traced(opset: int, free_batch: bool) -> Graph:
    return trace(fold(golden.network("nanohtnet-small"), free_batch), FRAMES, 2, opset, free_batch)


@cache
def simplified(opset: int) -> tuple[Graph, str]:
    """Return the same graph simplified, and the simplifier's note; do not change it."""
    return simplify(traced(opset))


def windows() -> Float32Array:
    """Return the three reference windows ``(3, 27, 17, 2)``."""
    stored: Float32Array = golden.arrays("nanohtnet-small")["input"]
    return stored


def make_graph(nodes: list[onnx.NodeProto], shape: list[int | str], weights: dict[str, AnyArray], opset: int = 17) -> Graph:
    """Return a graph from ``x`` to ``y``."""
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "sample",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    return Graph(onnx.shape_inference.infer_shapes(model))


def arrays(graph: Graph) -> dict[str, AnyArray]:
    """Return the weights by name."""
    return {name: numpy_helper.to_array(tensor) for name, tensor in graph.stored.items()}
