"""Moves the centres of activations to where they cost nothing: into norms, and into the bias of attention's values.

Tensors that hold something else afterwards are called something else, so that nobody compares them with what they were. INT8
layers go on reading by the old names, under which their ranges are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from poseedge.arrays import AnyArray, Float64Array
from poseedge.graph.channels import Origin
from poseedge.graph.graph import Graph
from poseedge.int8.centring import layer_of, shift_behind, weight_axis
from poseedge.int8.placement import Placement
from poseedge.int8.ranges import Activation, Ranges


@dataclass
class Moved:
    """What was moved."""

    centered: dict[str, str] = field(default_factory=dict)  # float tensor -> what it is called now that it is centred
    corrections: dict[str, Float64Array] = field(default_factory=dict)  # output of a layer -> what its bias must add


def move_centres(graph: Graph, placement: Placement, ranges: Ranges) -> Moved:
    """Let norms and values centre what ``placement`` says they do. ``graph`` is edited, but for the biases of layers."""
    chosen = {node.output[0] for node in placement.layers.values()}
    moved = Moved()
    for name, origin in placement.values.items():
        if ranges[name].offset.any():
            center_in_values(graph, origin, ranges[name], chosen, moved)
    behind: dict[str, list[Origin]] = {}
    for origin in placement.norms.values():
        behind.setdefault(origin.tensors[0], []).append(origin)
    for norm, origins in behind.items():
        center_in_norm(graph, norm, origins, ranges[norm], chosen, moved)
    return moved


def center_in_values(graph: Graph, origin: Origin, activation: Activation, chosen: set[str], moved: Moved) -> None:
    """Let the bias of attention's values centre what attention mixes of them."""
    first, name = origin.tensors[0], origin.tensors[-1]
    layer = layer_of(graph, first)
    assert layer is not None
    shift = np.zeros(graph.stored[layer.input[1]].dims[weight_axis(layer)])
    shift[origin.channels] = -activation.offset
    moved.corrections[layer.output[0]] = shift
    for tensor in origin.tensors:
        if tensor != layer.output[0]:  # which is not shifted before it gets its bias
            rename(graph, tensor, chosen)
    moved.centered[name] = centered(name)


def center_in_norm(
    graph: Graph, norm: str, origins: list[Origin], activation: Activation, chosen: set[str], moved: Moved
) -> None:
    """Let a norm's gain and bias divide and centre what layers read of it; constants that scale and shift it undo that."""
    node = graph.makers[norm]
    gain, bias = (float64(graph, name) for name in (node.input[1], node.input[2] if len(node.input) == 3 else ""))
    constants = [gain / activation.divisor, (bias - activation.offset) / activation.divisor]
    names = [add(graph, f"{norm}_{kind}", value) for kind, value in zip(("gain", "bias"), constants, strict=True)]
    graph.set_inputs(node, [node.input[0], *names])
    scales = [(scale, added) for scale in graph.readers[norm] if (added := shift_behind(graph, scale)) is not None]
    for scale, added in scales:
        places = [next(i for i, name in enumerate(part.input) if name in graph.stored) for part in (scale, added)]
        factor, shift = (float64(graph, part.input[place]) for part, place in zip((scale, added), places, strict=True))
        graph.set_input(scale, places[0], add(graph, f"{scale.name}_factor", factor * activation.divisor))
        graph.set_input(added, places[1], add(graph, f"{added.name}_shift", shift + factor * activation.offset))
    moved.centered |= {origin.tensors[-1]: origin.tensors[-1] for origin in origins}
    if scales or any(len(origin.tensors) > 1 for origin in origins):
        tensors = {name: None for origin in origins for name in origin.tensors} | {scale.output[0]: None for scale, _ in scales}
        for tensor in tensors:
            rename(graph, tensor, chosen)
        moved.centered |= {origin.tensors[-1]: centered(origin.tensors[-1]) for origin in origins}


def float64(graph: Graph, name: str) -> Float64Array:
    """Return a stored constant in double; zero if there is no ``name``."""
    value: AnyArray | None = graph.value(name)
    return np.zeros(1) if value is None else value.astype(np.float64)


def add(graph: Graph, name: str, value: Float64Array) -> str:
    """Store a constant in single precision and return what it is called."""
    return graph.add_constant(name, value.astype(np.float32))


def centered(tensor: str) -> str:
    """Return what a tensor is called once it is centred."""
    return f"{tensor}_centered"


def rename(graph: Graph, tensor: str, chosen: set[str]) -> None:
    """Call a tensor centred, for its maker and for all that read it but the ``chosen`` layers."""
    maker = graph.makers[tensor]
    for reader in list(graph.readers[tensor]):
        if reader.output[0] not in chosen:
            graph.set_inputs(reader, [centered(tensor) if name == tensor else name for name in reader.input])
    graph.rename_output(maker, centered(tensor), list(maker.output).index(tensor))
