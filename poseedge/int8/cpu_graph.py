"""An INT8 graph as ONNX Runtime's CPU runs it best: when it loads a Q/DQ file, and in the files of targets that are a CPU."""

from __future__ import annotations

from poseedge.graph.cpu_form import join_biases, to_cpu_form
from poseedge.graph.graph import Graph
from poseedge.int8.integer_products import move_steps, with_integer_products


def for_cpu(graph: Graph, opset: int, dynamic: bool = False) -> Graph:
    """Return a copy with integer products, at ``opset`` or its own, whichever is newer.

    It rounds as ``graph`` says, unless ``dynamic``: then activations are rounded by what they are in each call (see
    ``integer_products``).
    """
    copy = graph.copy()
    to_cpu_form(copy, opset)
    join_biases(copy)
    copy = with_integer_products(copy, dynamic)
    move_steps(copy)
    return copy
