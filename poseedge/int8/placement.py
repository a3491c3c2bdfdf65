"""Where INT8 goes in a graph: by structure, by size and by name, never by the name of a network.

Level A takes Linear layers; B adds the products of attention with the softmax's output; C adds the residual additions
that follow a quantized layer. What a level adds is quantized as it is: only a layer's bias can compensate a centre.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import onnx

from poseedge.graph.graph import check_patterns, consumers, initializers, linear_layers, makers, matches
from poseedge.graph.structure import layer_results, leading_to_selection, raw_results

Level = Literal["A", "B", "C"]
Centring = Literal["norm", "add", "none"]  # a norm's bias does it, an addition does it, nothing can

SMALLEST = 16  # TensorRT's INT8 kernels need K and N of at least this; below, Q/DQ only slows the layer down


@dataclass(frozen=True)
class Placement:
    """What takes INT8, by the name of the node's output."""

    layers: dict[str, onnx.NodeProto]  # by layer name: weight and input are quantized
    two_step: frozenset[str]  # outputs of those layers whose input is rounded in two steps
    others: dict[str, tuple[int, ...]]  # outputs of other nodes -> which of their inputs are quantized as they are
    tensors: dict[str, tuple[str, Centring]]  # key -> tensor to calibrate, and who centres it

    @property
    def two_step_names(self) -> list[str]:
        """The two-step layers, by name."""
        return sorted(name for name, node in self.layers.items() if node.output[0] in self.two_step)


def place(
    model: onnx.ModelProto,
    keep: list[str] | None = None,
    two_step: list[str] | None = None,
    level: Level = "A",
    smallest: int = SMALLEST,
) -> Placement:
    """Return where INT8 goes; ``keep`` and ``two_step`` are patterns over the names of layers.

    ``two_step`` layers round their input twice: the second time what the first took away, more finely. So do, by
    structure, those that a frame selection depends on: rounded once, they choose others.
    """
    layers = quantizable_layers(model, keep or [], smallest)
    check_patterns(two_step or [], list(layers), "no INT8 layer matches")
    outputs = {node.output[0] for node in layers.values()}
    free = free_norms(model, outputs)
    others = attention_products(model, smallest) if level in "BC" else {}
    if level == "C":
        others |= residual_additions(model, outputs)
    tensors: dict[str, tuple[str, Centring]] = {
        node.input[0]: (node.input[0], "norm" if node.input[0] in free else "add") for node in layers.values()
    }
    for node in model.graph.node:
        for number in others.get(node.output[0], ()):
            tensors[plain_key(node.input[number])] = (node.input[number], "none")
    twice = {node.output[0] for name, node in layers.items() if matches(name, two_step or [])}
    return Placement(layers, frozenset(twice | (leading_to_selection(model) & outputs)), others, tensors)


def plain_key(tensor: str) -> str:
    """Return the key of a tensor that is quantized as it is; a layer may read the same one centred."""
    return f"{tensor}_plain"


def quantizable_layers(model: onnx.ModelProto, keep: list[str], smallest: int = SMALLEST) -> dict[str, onnx.NodeProto]:
    """Return the layers that take INT8, by name.

    Left out: layers that match a pattern in ``keep``, those narrower than ``smallest``, and, by structure, the first layers
    behind the input (raw coordinates need more than 8 bits) and the last before the output (metres do too).
    """
    layers = linear_layers(model)
    check_patterns(keep, list(layers), "no layer matches")
    dims = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    outer = {node.output[0] for node in (*first_layers(model, layers), *last_layers(model, layers))}
    return {
        name: node
        for name, node in layers.items()
        if node.output[0] not in outer and min(dims[node.input[1]]) >= smallest and not matches(name, keep) and is_plain(node)
    }


def is_plain(node: onnx.NodeProto) -> bool:
    """Say whether a layer multiplies rows by its weight and no more: a Gemm may also scale and transpose."""
    return not any((a.name == "transA" and a.i) or (a.name in {"alpha", "beta"} and a.f != 1) for a in node.attribute)


def first_layers(model: onnx.ModelProto, layers: Mapping[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the layers that no other precedes, and those that read raw coordinates though another had a part in them."""
    linear = {node.output[0] for node in layers.values()}
    raw, behind = raw_results(model), layer_results(model)
    found = []
    for node in model.graph.node:
        second = not behind.isdisjoint(node.input)
        if node.output[0] in linear and (node.output[0] in raw or not second):
            found.append(node)
        elif second:
            behind.update(node.output)
    return found


def last_layers(model: onnx.ModelProto, layers: Mapping[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the layers from which some path reaches the graph's output without another layer."""
    linear = {node.output[0] for node in layers.values()}
    final = {value.name for value in model.graph.output}
    found = []
    for node in reversed(model.graph.node):
        if final.intersection(node.output):
            if node.output[0] in linear:
                found.append(node)
            else:
                final.update(node.input)
    return found


def free_norms(model: onnx.ModelProto, chosen: set[str]) -> set[str]:
    """Return the norms' outputs whose centring is free: the norm's bias can take it, its readers' biases give it back."""
    weights, readers = initializers(model), consumers(model)
    leaving = {value.name for value in model.graph.output}
    free = set()
    for node in model.graph.node:
        if node.op_type != "LayerNormalization" or node.output[0] in leaving:
            continue
        constant = all(name in weights for name in node.input[1:])
        reading = readers[node.output[0]]
        quantized = bool(reading) and all(reader.output[0] in chosen for reader in reading)
        if constant and quantized and all(r.op_type == "Gemm" or has_bias(r.output[0], readers, weights) for r in reading):
            free.add(node.output[0])
    return free


def has_bias(output: str, readers: Mapping[str, list[onnx.NodeProto]], weights: Mapping[str, object]) -> bool:
    """Say whether one Add of a constant is all that reads ``output``."""
    found = readers[output]
    return len(found) == 1 and found[0].op_type == "Add" and any(name in weights for name in found[0].input)


def attention_products(model: onnx.ModelProto, smallest: int = SMALLEST) -> dict[str, tuple[int, ...]]:
    """Return the products of two activations before and after a softmax: both inputs of each take INT8.

    Left out are those with fewer than ``smallest`` in the summed or the last axis, and those of unknown size.
    """
    weights, readers = initializers(model), consumers(model)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    made_by = makers(model)
    found: dict[str, tuple[int, ...]] = {}
    for node in model.graph.node:
        if node.op_type != "MatMul" or any(name in weights for name in node.input):
            continue
        sides = [made_by[name].op_type for name in node.input if name in made_by]
        if "Softmax" not in [*sides, *(reader.op_type for reader in readers[node.output[0]])]:
            continue
        sizes = [dim.dim_value for name in node.input for dim in shapes.get(name, [])[-2:]]
        if len(sizes) == 4 and min(sizes[1], sizes[3]) >= smallest:
            found[node.output[0]] = (0, 1)
    return found


def residual_additions(model: onnx.ModelProto, chosen: set[str]) -> dict[str, tuple[int, ...]]:
    """Return the additions of a ``chosen`` layer's result, with its bias, and a skip path: the skip takes INT8."""
    weights, made_by = initializers(model), makers(model)

    def from_layer(name: str) -> bool:
        node = made_by.get(name)
        if node is not None and node.op_type == "Add" and any(part in weights for part in node.input):
            node = next((made_by[part] for part in node.input if part in made_by), None)
        return node is not None and node.output[0] in chosen

    found: dict[str, tuple[int, ...]] = {}
    for node in model.graph.node:
        if node.op_type == "Add" and not any(name in weights for name in node.input):
            sides = [from_layer(name) for name in node.input]
            if sides.count(True) == 1:
                found[node.output[0]] = (sides.index(False),)
    return found
