"""What INT8 saves layer by layer on this machine: each layer is cut out of the float and of the INT8 graph, and timed.

Cut out, a layer takes microseconds that can be told apart; in a whole graph they drown in the spread of all others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from poseedge.bench.latency import Candidate, Schedule, time_alternating
from poseedge.graph.graph import consumers, infer_shapes, initializers, makers
from poseedge.graph.session import open_session, session_options
from poseedge.int8.integer_products import with_integer_products
from poseedge.int8.placement import Placement, has_bias

ROUNDS = 25


def saved_ms(model: onnx.ModelProto, int8: onnx.ModelProto, placement: Placement, rounds: int = ROUNDS) -> dict[str, float]:
    """Return, for each layer of ``placement``, the median milliseconds by which INT8 is faster than float; negative if slower.

    ``int8`` is what ``quantize`` made of ``model``. ONNX Runtime, one thread, one window; rounding the input is counted
    for every layer that reads it. Float and INT8 take turns.
    """
    return {
        name: times["float"] - times["int8"]
        for name in placement.layers
        if (times := median_ms(candidates(model, with_integer_products(int8), placement.layers[name]), rounds))
    }


def median_ms(forms: Mapping[str, Candidate], rounds: int) -> dict[str, float]:
    """Return the median of each form's calls."""
    return {name: 1e3 * float(np.median(spent)) for name, spent in time_alternating(forms, Schedule(rounds)).items()}


def candidates(model: onnx.ModelProto, integer: onnx.ModelProto, layer: onnx.NodeProto) -> dict[str, Candidate]:
    """Return calls of the layer alone, with its bias, as each of the graphs computes it."""
    source, output = layer.input[0], layer.output[0]
    readers = consumers(model)
    if has_bias(output, readers, initializers(model)):
        output = readers[output][0].output[0]
    shape = tuple(size or 1 for size in infer_shapes(model)[source])
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return {name: caller(cut_out(graph, source, output, shape), x) for name, graph in (("float", model), ("int8", integer))}


def cut_out(model: onnx.ModelProto, source: str, output: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    """Return the graph from the activation ``source`` to ``output``; shapes other than that of ``source`` are left open."""
    made_by, wanted, nodes = makers(model), [output], []
    while wanted:
        node = made_by.get(wanted.pop())
        if node is not None and node not in nodes:
            nodes.append(node)
            wanted += [name for name in node.input if name != source]
    read = {name for node in nodes for name in node.input}
    graph = onnx.helper.make_graph(
        [node for node in model.graph.node if node in nodes],
        "layer",
        [onnx.helper.make_tensor_value_info(source, onnx.TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name=output)],
        [tensor for tensor in model.graph.initializer if tensor.name in read],
    )
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def caller(model: onnx.ModelProto, x: np.ndarray) -> Candidate:
    """Return a call of the graph on ``x``."""
    session = open_session(model.SerializeToString(), session_options(threads=1))
    feed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, feed)
