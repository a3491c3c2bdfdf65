"""FP16, alone or around INT8: half-precision weights and casts inside, float32 keypoints and joints outside."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import onnx

from poseedge.errors import require
from poseedge.graph.graph import check_patterns, consumers, initializers, matches
from poseedge.graph.structure import (
    decomposed_norms,
    leading_to_selection,
    norm_results,
    raw_results,
    scaled_norms,
    serving_selection_only,
)

HALF_MAX = float(np.finfo(np.float16).max)
HALF_TINY = float(np.finfo(np.float16).smallest_subnormal)


def to_fp16(model: onnx.ModelProto, keep: list[str]) -> onnx.ModelProto:
    """Return ``model`` in half precision, valid for strong typing.

    ``keep`` names, as patterns, the weights whose nodes stay in float32. By structure stay so:

    - what leads from the keypoints to the first norm, which takes the mean away and magnifies what rounding did to the
      rest, and wherever else coordinates are still raw, on skip paths too;
    - the reductions of a norm that is decomposed (below opset 17, or one that is no LayerNormalization), since squares
      overflow half precision beyond 255;
    - a norm with a scale of its own: rounded, it is wrong for every value alike, and nothing averages that out;
    - all that the frame selection of a pruned network depends on, but for matrix products: it would choose others.

    Raises ``PoseedgeError`` for a pattern that no weight fits.
    """
    return in_half(model, nodes_of(model, keep))


def to_int8_fp16(quantized: onnx.ModelProto, model: onnx.ModelProto, keep: list[str]) -> onnx.ModelProto:
    """Return ``quantized``, which ``quantize`` made of ``model``, with half precision around its INT8 products.

    What rounds to INT8 stays in float32, between casts: scales keep all their digits, the second of two steps sees what
    the first left, and the graph needs no newer opset. A builder fuses the casts into the kernels beside them.
    ``keep`` is that of ``to_fp16``.
    """
    return in_half(quantized, nodes_of(model, keep) | rounding_nodes(quantized, model))


def nodes_of(model: onnx.ModelProto, keep: list[str]) -> set[str]:
    """Return the nodes that read a weight whose name fits one of the patterns ``keep``."""
    weights = [tensor.name for tensor in model.graph.initializer]
    check_patterns(keep, [name.removesuffix(".weight") for name in weights], "fp16.keep: no weight matches")
    named = {name for name in weights if matches(name.removesuffix(".weight"), keep)}
    return {node.name for node in model.graph.node if named.intersection(node.input)}


def rounding_nodes(quantized: onnx.ModelProto, model: onnx.ModelProto) -> set[str]:
    """Return the nodes that ``quantized`` has beyond ``model`` and that serve QuantizeLinear alone, Q and DQ with them."""
    readers, known = consumers(quantized), {node.name for node in model.graph.node}
    names: set[str] = set()
    for node in reversed(quantized.graph.node):
        reading = [reader.name for reader in readers[node.output[0]]]
        serving = node.name not in known and reading and names.issuperset(reading)
        if serving or node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            names.add(node.name)
    return names


def in_half(model: onnx.ModelProto, kept: set[str]) -> onnx.ModelProto:
    """Return ``model`` in half precision but for the nodes named in ``kept`` and those that ``to_fp16`` keeps anyway."""
    float16 = require("onnxconverter_common.float16", "export")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    exact = exact_results(model)
    blocked = kept | {node.name for node in model.graph.node if exact.intersection(node.output)}
    by_type = set(float16.DEFAULT_OP_BLOCK_LIST)
    own_constants(copy, lambda node: node.name in blocked or node.op_type in by_type)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for every weight below the smallest half
        converted: onnx.ModelProto = float16.convert_float_to_float16(
            copy,
            min_positive_val=HALF_TINY,
            max_finite_val=HALF_MAX,
            keep_io_types=True,
            node_block_list=sorted(blocked),
        )
    return without_round_trips(converted)


def own_constants(model: onnx.ModelProto, stays: Callable[[onnx.NodeProto], bool]) -> None:
    """Give the nodes that stay in float32 constants of their own: the converter would leave a shared one in float32 for all.

    ``model`` is edited. Constants lose their value_info, else the converter rounds them and casts them back up.
    """
    constants = initializers(model)
    described = [value for value in model.graph.value_info if value.name in constants]
    for value in described:
        model.graph.value_info.remove(value)
    rest = {name for node in model.graph.node if not stays(node) for name in node.input}
    copied: dict[str, str] = {}
    for node in filter(stays, model.graph.node):
        for place, name in enumerate(node.input):
            if name not in rest or name not in constants or constants[name].data_type != onnx.TensorProto.FLOAT:
                continue
            if name not in copied:
                copied[name] = f"{name}_float32"
                model.graph.initializer.add().CopyFrom(constants[name])
                model.graph.initializer[-1].name = copied[name]
            node.input[place] = copied[name]


def exact_results(model: onnx.ModelProto) -> set[str]:
    """Return what stays in float32 by structure: see ``to_fp16``."""
    norms = decomposed_norms(model) | scaled_norms(model)
    return norms | raw_results(model) | embedded(model) | choice_results(model)


def choice_results(model: onnx.ModelProto) -> set[str]:
    """Return what a frame selection depends on, but for those products that serve something else too."""
    products = {node.output[0] for node in model.graph.node if node.op_type in {"MatMul", "Gemm"}}
    return (leading_to_selection(model) - products) | serving_selection_only(model)


def embedded(model: onnx.ModelProto) -> set[str]:
    """Return what is computed from the keypoints up to the first norm on every path, that norm included."""
    norms, readers = norm_results(model), consumers(model)
    behind: set[str] = set()
    for node in model.graph.node:
        if behind.intersection(node.input) or (norms.intersection(node.input) and node.output[0] not in norms):
            behind.update(node.output)
    first: set[str] = set()
    for node in reversed(model.graph.node):
        leads_to_norm = any(first.intersection(reader.output) for name in node.output for reader in readers[name])
        if behind.isdisjoint(node.output) and (node.output[0] in norms or leads_to_norm):
            first.update(node.output)
    return first


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
