"""What INT8 saves layer by layer on this machine: each layer is cut out of the float and of the INT8 graph, and timed.

Cut out, a layer takes microseconds that can be told apart; in a whole graph they drown in the spread of all others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from poseedge.bench.latency import Alternation, Candidate, time_alternating
from poseedge.graph.graph import Graph
from poseedge.graph.session import open_session, session_options
from poseedge.int8.centring import bias_add
from poseedge.int8.integer_products import with_integer_products
from poseedge.int8.offsets import centered
from poseedge.int8.placement import Placement

ROUNDS = 25


def saved_ms(graph: Graph, int8: Graph, placement: Placement, rounds: int = ROUNDS) -> dict[str, float]:
    """Return, for each layer of ``placement``, the median milliseconds by which INT8 is faster than float; negative if slower.

    ``int8`` is what ``quantize`` made of ``graph``. ONNX Runtime, one thread, one window; rounding the input is counted
    for every layer that reads it. Float and INT8 take turns.
    """
    integer = with_integer_products(int8)
    return {
        name: times["float"] - times["int8"]
        for name, layer in placement.layers.items()
        if (times := median_ms(candidates(graph, integer, layer), rounds))
    }


def median_ms(forms: Mapping[str, Candidate], rounds: int) -> dict[str, float]:
    """Return the median of each form's calls."""
    return {name: 1e3 * float(np.median(spent)) for name, spent in time_alternating(forms, Alternation(rounds)).items()}


def candidates(graph: Graph, integer: Graph, layer: onnx.NodeProto) -> dict[str, Candidate]:
    """Return calls of the layer alone, with its bias, as each of the graphs computes it."""
    source, output = layer.input[0], layer.output[0]
    if added := bias_add(graph, layer):
        output = added.output[0]
    shape = graph.shapes[source]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return {name: caller(cut_out(form, source, output, shape), x) for name, form in (("float", graph), ("int8", integer))}


def cut_out(graph: Graph, source: str, output: str, shape: tuple[int, ...]) -> Graph:
    """Return the graph from the activation ``source`` to ``output``; shapes other than that of ``source`` are left open.

    What an INT8 graph holds centred goes by another name there.
    """
    source, output = (name if name in graph.makers else centered(name) for name in (source, output))
    wanted, nodes = [output], dict[int, onnx.NodeProto]()
    while wanted:
        node = graph.makers.get(wanted.pop())
        if node is not None and id(node) not in nodes:
            nodes[id(node)] = node
            wanted += [name for name in node.input if name != source]
    read = {name for node in nodes.values() for name in node.input}
    part = onnx.helper.make_graph(
        [node for node in graph.nodes if id(node) in nodes],
        "layer",
        [onnx.helper.make_tensor_value_info(source, onnx.TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name=output)],
        [tensor for tensor in graph.proto.graph.initializer if tensor.name in read],
    )
    return Graph(onnx.helper.make_model(part, opset_imports=graph.proto.opset_import, ir_version=graph.proto.ir_version))


def caller(graph: Graph, x: np.ndarray) -> Candidate:
    """Return a call of the graph on ``x``."""
    session = open_session(graph.proto.SerializeToString(), session_options(threads=1), name=graph.name)
    feed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, feed)
