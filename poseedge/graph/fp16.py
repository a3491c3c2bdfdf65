"""FP16, alone or around INT8: half-precision weights and casts inside, float32 keypoints and joints outside."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from poseedge.errors import require
from poseedge.graph.float32 import exact_results
from poseedge.graph.graph import Graph
from poseedge.graph.nodes import casts_to, check_patterns, matches

HALF_MAX = float(np.finfo(np.float16).max)
HALF_TINY = float(np.finfo(np.float16).smallest_subnormal)


def to_fp16(graph: Graph, keep: list[str]) -> Graph:
    """Return ``graph`` in half precision, valid for strong typing.

    ``keep`` names, as patterns, the weights whose nodes stay in float32. By structure stay so:

    - what leads from the keypoints to the first norm, which takes the mean away and magnifies what rounding did to the
      rest, and wherever else coordinates are still raw, on skip paths too;
    - the reductions of a norm that is decomposed (below opset 17, or one that is no LayerNormalization), since squares
      overflow half precision beyond 255;
    - a norm with a scale of its own: rounded, it is wrong for every value alike, and nothing averages that out; and the weighted
      mean over tokens of what a norm gives, with that norm's scale;
    - all that the frame selection of a pruned network depends on, but for matrix products: it would choose others.

    Raises ``PoseedgeError`` for a pattern that no weight fits.
    """
    return in_half(graph, kept_nodes(graph, keep))


def to_int8_fp16(quantized: Graph, graph: Graph, keep: list[str]) -> Graph:
    """Return ``quantized``, which ``quantize`` made of ``graph``, with half precision around its INT8 products.

    What rounds to INT8 stays in float32, between casts: scales keep all their digits, the second of two steps sees what
    the first left, and the graph needs no newer opset. A builder fuses the casts into the kernels beside them.
    ``keep`` is that of ``to_fp16``.
    """
    return in_half(quantized, kept_nodes(graph, keep) | rounding_nodes(quantized, graph))


def kept_nodes(graph: Graph, keep: list[str]) -> set[str]:
    """Return the nodes that read a weight whose name fits one of the patterns ``keep``."""
    check_patterns(keep, [name.removesuffix(".weight") for name in graph.stored], "fp16.keep: no weight matches")
    named = (name for name in graph.stored if matches(name.removesuffix(".weight"), keep))
    return {node.name for name in named for node in graph.readers[name]}


def rounding_nodes(quantized: Graph, graph: Graph) -> set[str]:
    """Return the nodes that ``quantized`` has beyond ``graph`` and that serve QuantizeLinear alone, Q and DQ with them."""
    known = {node.name for node in graph.nodes}
    names: set[str] = set()
    for node in reversed(quantized.nodes):
        reading = [reader.name for reader in quantized.readers[node.output[0]]]
        serving = node.name not in known and reading and names.issuperset(reading)
        if serving or node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            names.add(node.name)
    return names


def in_half(graph: Graph, kept: set[str]) -> Graph:
    """Return ``graph`` in half precision but for the nodes named in ``kept`` and those that ``to_fp16`` keeps anyway."""
    float16 = require("onnxconverter_common.float16", "export")
    exact = exact_results(graph)
    blocked = kept | {node.name for node in graph.nodes if exact.intersection(node.output)}
    by_type = set(float16.DEFAULT_OP_BLOCK_LIST)
    copy = graph.copy()
    own_constants(copy, lambda node: node.name in blocked or node.op_type in by_type)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for every weight below the smallest half
        converted = float16.convert_float_to_float16(
            copy.proto,
            min_positive_val=HALF_TINY,
            max_finite_val=HALF_MAX,
            keep_io_types=True,
            node_block_list=sorted(blocked),
        )
    half = Graph(converted)
    remove_round_trips(half)
    widen_ends(half)
    cast_to_half(half, {node.name for node in graph.nodes} - blocked)
    return half


def own_constants(graph: Graph, stays: Callable[[NodeProto], bool]) -> None:
    """Give the nodes that stay in float32 constants of their own: the converter would leave a shared one in float32 for all.

    ``graph`` is edited. Constants lose their value_info, else the converter rounds them and casts them back up.
    """
    graph.forget_shapes(set(graph.stored))
    rest = {name for node in graph.nodes if not stays(node) for name in node.input}
    copied: dict[str, str] = {}
    for node in filter(stays, graph.nodes):
        for place, name in enumerate(node.input):
            if name not in rest or name not in graph.stored or graph.stored[name].data_type != TensorProto.FLOAT:
                continue
            if name not in copied:
                copied[name] = graph.add_constant(f"{name}_float32", numpy_helper.to_array(graph.stored[name]))
            graph.set_input(node, place, copied[name])


def cast_to_half(graph: Graph, names: set[str]) -> None:
    """Let the casts ``names``, of integers and truths to float, give what the converter says they give.

    It changes the types of tensors and leaves the graph's own casts as they are. ``graph`` is edited.
    """
    stated = {value.name: value.type.tensor_type.elem_type for value in graph.proto.graph.value_info}
    for node in list(graph.of("Cast")):
        if node.name in names and casts_to(node, TensorProto.FLOAT) and stated.get(node.output[0]) == TensorProto.FLOAT16:
            cast = helper.make_node("Cast", list(node.input), list(node.output), name=node.name, to=TensorProto.FLOAT16)
            graph.insert(cast, after=node)
            graph.remove(node)


def widen_ends(graph: Graph) -> None:
    """Give in float32 what a node that stays in float32 gives: the converter casts such an output down. ``graph`` is edited."""
    for value in graph.proto.graph.output:
        cast = graph.makers[value.name]
        if value.type.tensor_type.elem_type != TensorProto.FLOAT16 or not casts_to(cast, TensorProto.FLOAT16):
            continue
        source = cast.input[0]
        graph.remove(cast)
        graph.rename_output(graph.makers[source], value.name)
        for reader in list(graph.readers[source]):
            graph.set_inputs(reader, [value.name if name == source else name for name in reader.input])
        value.type.tensor_type.elem_type = TensorProto.FLOAT


def remove_round_trips(graph: Graph) -> None:
    """Let what stays in float32 read float32: the converter casts down after such a node and up before the next.

    It removes such pairs itself, but not where a tensor has several readers. ``graph`` is edited.
    """
    half = {node.output[0]: node.input[0] for node in graph.nodes if casts_to(node, TensorProto.FLOAT16)}
    exact = {
        node.output[0]: half[node.input[0]] for node in graph.nodes if casts_to(node, TensorProto.FLOAT) and node.input[0] in half
    }
    for node in graph.nodes:
        if not exact.keys().isdisjoint(node.input):
            graph.set_inputs(node, [exact.get(name, name) for name in node.input])
    for unread in (exact, half):  # a cast up goes first: it reads the cast down
        for name in unread:
            if not graph.readers[name] and name not in graph.outputs:
                graph.remove(graph.makers[name])
