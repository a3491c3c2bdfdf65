"""Small graphs of Linear layers, float and in INT8, with weights that INT8 holds exactly or must round."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
from onnx import helper

from poseedge.arrays import AnyArray
from poseedge.graph.graph import Graph
from poseedge.int8.placement import place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from tests.support.graphs import arrays, make_graph, simplified, windows

WIDTH, HIDDEN = 32, 48
RNG = np.random.default_rng(0)
SAMPLES = RNG.normal(size=(8, 17, WIDTH)).astype(np.float32) + 1
node = helper.make_node


def on_grid(rows: int, columns: int) -> AnyArray:
    """Return weights that INT8 holds exactly: whole multiples of each column's step, the largest being 127 steps."""
    steps = RNG.integers(-126, 127, (rows, columns))
    steps[0] = 127
    return (steps * RNG.uniform(0.001, 0.01, columns)).astype(np.float32)


def off_grid(rows: int, columns: int) -> AnyArray:
    """Return weights that INT8 must round."""
    return np.asarray(RNG.normal(0, 0.2, (rows, columns)), np.float32)


def weights(exact: bool) -> dict[str, AnyArray]:
    """Return the weights of ``stack``; exact ones lose nothing in INT8."""
    make = on_grid if exact else off_grid
    shapes = {"first": (WIDTH, WIDTH), "up": (WIDTH, HIDDEN), "down": (HIDDEN, WIDTH), "last": (WIDTH, 3)}
    matrices = {f"{name}.weight": make(*shape) for name, shape in shapes.items()}
    biases = {f"{name}.bias": RNG.normal(size=shape[1]).astype(np.float32) for name, shape in shapes.items()}
    return {**matrices, **biases}


def stack(middle: list[onnx.NodeProto], more: dict[str, AnyArray], exact: bool = True) -> Graph:
    """Return a graph: a first layer to ``a``, ``middle`` from ``a`` to ``b``, a last layer from ``b``."""
    first = [node("MatMul", ["x", "first.weight"], ["f"]), node("Add", ["f", "first.bias"], ["g"]), node("Relu", ["g"], ["a"])]
    last = [node("MatMul", ["b", "last.weight"], ["l"]), node("Add", ["l", "last.bias"], ["y"])]
    nodes = [*first, *middle, *last]
    used = {name for entry in nodes for name in entry.input}
    tensors = {name: value for name, value in {**weights(exact), **more}.items() if name in used}
    return make_graph(nodes, [1, 17, WIDTH], tensors)


def residual_mlp(exact: bool = True) -> Graph:
    """Return a stack with ``b = a + down(relu(up(a)))``."""
    middle = [
        node("MatMul", ["a", "up.weight"], ["u"], name="up"),
        node("Add", ["u", "up.bias"], ["ub"], name="up_bias"),
        node("Relu", ["ub"], ["h"], name="relu"),
        node("MatMul", ["h", "down.weight"], ["d"], name="down"),
        node("Add", ["down.bias", "d"], ["db"], name="down_bias"),
        node("Add", ["a", "db"], ["b"], name="skip"),
    ]
    return stack(middle, {}, exact)


def quantized(
    graph: Graph,
    samples: AnyArray = SAMPLES,
    keep: tuple[str, ...] = (),
    migrate: float = 0.0,
) -> Graph:
    placement = place(graph, list(keep))
    return quantize(graph, placement, calibrate(graph, placement, samples, migrate=migrate))


@cache
def small_int8(opset: int = 17) -> Graph:
    return quantized(simplified(opset)[0], windows(), migrate=0.7)


def of_kind(graph: Graph, kind: str) -> list[onnx.NodeProto]:
    return [entry for entry in graph.nodes if entry.op_type == kind]


def without_activation_rounding(graph: Graph) -> Graph:
    """Return ``graph`` with every activation's Q and DQ replaced by nothing: only weights are still rounded."""
    copy = graph.copy()
    made_by = copy.makers
    for entry in copy.nodes:
        if entry.op_type == "DequantizeLinear" and entry.input[0] in made_by:
            source = made_by[entry.input[0]].input[0]
            entry.CopyFrom(node("Identity", [source], list(entry.output)))
    return copy


def outputs(graph: Graph, samples: AnyArray = SAMPLES) -> AnyArray:
    return np.concatenate([graph.run(sample[None]) for sample in samples])


def weight_dequantizers(graph: Graph) -> list[onnx.NodeProto]:
    return [entry for entry in of_kind(graph, "DequantizeLinear") if entry.input[0] in arrays(graph)]
