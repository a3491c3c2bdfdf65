"""Channels are followed through changes of layout and through attention, whatever its layout; anything less plain is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from poseedge.arrays import AnyArray
from poseedge.graph.channels import layout_origin, mixed_origin
from poseedge.graph.cpu_form import to_cpu_form
from poseedge.graph.graph import Graph
from poseedge.graph.trace import simplify
from tests.support.graphs import make_graph, simplified, traced

TOKENS, HEADS, WIDTH = 5, 2, 8  # width of all heads together
HEAD = WIDTH // HEADS
RNG = np.random.default_rng(0)
node = helper.make_node


def attention(
    softmax_axis: int = -1,
    turn: tuple[int, ...] = (0, 2, 1, 3),
    more: tuple[onnx.NodeProto, ...] = (),
    batch: int | str = 1,
    rows: tuple[int, ...] = (-1, TOKENS, HEADS, HEAD),
) -> Graph:
    """Return attention of ``q``, ``k`` and ``v``, products of ``x (1, tokens, width)``, to ``m``, which a layer projects."""
    nodes = [
        *(node("MatMul", ["x", f"{part}.weight"], [f"{part}p"]) for part in "qkv"),
        *(node("Reshape", [f"{part}p", "rows"], [f"{part}r"]) for part in "qkv"),
        node("Transpose", ["qr"], ["q"], perm=[0, 2, 1, 3]),
        node("Transpose", ["kr"], ["k"], perm=[0, 2, 3, 1]),
        node("Transpose", ["vr"], ["v"], perm=list(turn)),
        node("MatMul", ["q", "k"], ["scores"]),
        node("Softmax", ["scores"], ["weights"], axis=softmax_axis),
        node("MatMul", ["weights", "v"], ["mixed"]),
        node("Transpose", ["mixed"], ["joined"], perm=[0, 2, 1, 3]),
        node("Reshape", ["joined", "flat"], ["m"]),
        node("MatMul", ["m", "proj.weight"], ["y"]),
        *more,
    ]
    weights: dict[str, AnyArray] = {
        f"{part}.weight": RNG.normal(size=(WIDTH, WIDTH)).astype(np.float32) for part in ("q", "k", "v", "proj")
    }
    return make_graph(nodes, [batch, TOKENS, WIDTH], weights | {"rows": np.array(rows), "flat": np.array([-1, TOKENS, WIDTH])})


def test_mixed_channels_are_those_of_the_values() -> None:
    origin = mixed_origin(attention(), "m")
    assert origin is not None
    assert origin.tensors == ("vp", "vr", "v", "mixed", "joined", "m")
    np.testing.assert_array_equal(origin.channels, np.arange(WIDTH))


@pytest.mark.parametrize("opset", [17, 23])
def test_values_of_a_joint_product_are_its_last_third(opset: int) -> None:
    graph = simplified(17)[0].copy()
    to_cpu_form(graph, opset)
    layer = graph.layers["temporal.0.gbi.attention.proj"]
    width = graph.shapes[layer.input[0]][-1]
    origin = mixed_origin(graph, layer.input[0])
    assert origin is not None
    assert graph.maker(origin.tensors[0], "Add") is not None
    np.testing.assert_array_equal(origin.channels, np.arange(2 * width, 3 * width))


def test_a_free_batch_is_followed_too() -> None:
    graph, _ = simplify(traced(17, free_batch=True))
    layer = next(layer for name, layer in graph.layers.items() if name.endswith("attention.proj"))
    origin = mixed_origin(graph, layer.input[0])
    assert origin is not None
    assert len(origin.channels) == graph.shapes[layer.input[0]][-1]


def test_an_offset_of_the_values_is_one_of_what_attention_mixes() -> None:
    graph = attention()
    x = RNG.normal(size=(1, TOKENS, WIDTH)).astype(np.float32)
    offset = RNG.normal(size=WIDTH).astype(np.float32)
    moved = graph.copy()
    moved.rename_output(moved.makers["vp"], "plain")
    moved.insert(node("Add", ["plain", moved.add_constant("offset", offset)], ["vp"]), after=moved.makers["plain"])
    before, after = (form.evaluator(["m"])(x)[0] for form in (graph, moved))
    np.testing.assert_allclose(after, before + offset, atol=1e-5)


def readers_of(name: str) -> tuple[onnx.NodeProto, ...]:
    return (node("Identity", [name], ["other"]),)


@pytest.mark.parametrize(
    "graph",
    [
        attention(softmax_axis=-2),
        attention(more=readers_of("v")),
        attention(more=readers_of("mixed")),
        attention(more=readers_of("vp")),
        attention(turn=(0, 2, 3, 1), rows=(-1, TOKENS, HEADS, HEAD)),  # tokens and channels change places
        attention(rows=(-1, HEADS, TOKENS, HEAD)),  # a head's rows are not tokens
    ],
    ids=["softmax over queries", "values read twice", "mixed read twice", "layer read twice", "turned", "heads before tokens"],
)
def test_what_softmax_does_not_mix_token_by_token_is_refused(graph: Graph) -> None:
    assert mixed_origin(graph, "m") is None


def test_a_layout_that_suits_one_window_alone_is_refused_where_the_batch_is_free() -> None:
    assert mixed_origin(attention(batch="batch", rows=(1, TOKENS, HEADS, HEAD)), "m") is None
    assert mixed_origin(attention(batch=1, rows=(1, TOKENS, HEADS, HEAD)), "m") is not None


def test_values_that_heads_share_are_refused() -> None:
    nodes = [
        node("MatMul", ["x", "v.weight"], ["vp"]),
        node("Reshape", ["vp", "rows"], ["v"]),
        node("Softmax", ["given"], ["weights"]),
        node("MatMul", ["weights", "v"], ["mixed"]),
        node("Reshape", ["mixed", "flat"], ["m"]),
        node("MatMul", ["m", "proj.weight"], ["y"]),
    ]
    shapes = {"v.weight": (WIDTH, HEAD), "given": (1, HEADS, TOKENS, TOKENS), "proj.weight": (WIDTH, WIDTH)}
    weights: dict[str, AnyArray] = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    weights |= {"rows": np.array([1, 1, TOKENS, HEAD]), "flat": np.array([-1, WIDTH])}
    assert mixed_origin(make_graph(nodes, [1, TOKENS, WIDTH], weights), "m") is None


def gathered(reshaped: tuple[int, ...]) -> Graph:
    """Return three of six rows of a norm, side by side."""
    nodes = [
        node("LayerNormalization", ["x", "gain", "bias"], ["n"]),
        node("Gather", ["n", "places"], ["g"], axis=0),
        node("Reshape", ["g", "shape"], ["r"]),
        node("MatMul", ["r", "weight"], ["y"]),
    ]
    constants = {"places": np.array([0, 2, 4, 5, 1, 3]), "shape": np.array(reshaped)}
    norms = {name: RNG.normal(size=WIDTH).astype(np.float32) for name in ("gain", "bias")}
    return make_graph(nodes, [6, WIDTH], {**constants, **norms, "weight": np.zeros((reshaped[-1], 3), np.float32)})


def test_rows_side_by_side_hold_the_norms_channels_one_after_the_other() -> None:
    origin = layout_origin(gathered((2, 3 * WIDTH)), "r", "n")
    assert origin is not None
    assert origin.tensors == ("n", "g", "r")
    np.testing.assert_array_equal(origin.channels, np.tile(np.arange(WIDTH), 3))


def test_channels_that_differ_by_row_have_no_origin() -> None:
    assert layout_origin(gathered((12, WIDTH // 2)), "r", "n") is None
