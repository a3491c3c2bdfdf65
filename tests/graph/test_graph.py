"""A graph's indexes tell what its nodes say, after every edit too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from poseedge.graph.graph import Graph
from poseedge.graph.nodes import tensors_read
from tests.support import qdq_graphs, small_graphs
from tests.support.graphs import make_graph, simplified

node = helper.make_node
W = np.eye(4, dtype=np.float32)


def chain() -> Graph:
    """Return ``y = relu(x w) + b`` and a side way that nothing reads."""
    nodes = [
        node("MatMul", ["x", "w.weight"], ["m"], name="layer"),
        node("Relu", ["m"], ["r"], name="relu"),
        node("Add", ["r", "b"], ["y"], name="add"),
        node("Abs", ["m"], ["aside"], name="abs"),
    ]
    return make_graph(nodes, ["batch", 4], {"w.weight": W, "b": np.ones(4, np.float32), "unread": W})


def named(graph: Graph, name: str) -> onnx.NodeProto:
    return next(entry for entry in graph.nodes if entry.name == name)


def assert_indexed(graph: Graph) -> None:
    """Compare every index with that of a graph read anew from the same bytes."""
    fresh = Graph(onnx.ModelProto.FromString(graph.proto.SerializeToString()))
    assert graph.makers == fresh.makers
    assert graph.stored == fresh.stored
    assert {name: sorted(n.name for n in nodes) for name, nodes in graph.readers.items() if nodes} == {
        name: sorted(n.name for n in nodes) for name, nodes in fresh.readers.items()
    }
    held = {id(entry) for entry in graph.nodes}
    assert {id(entry) for nodes in (graph.makers.values(), *graph.readers.values()) for entry in nodes} <= held
    for part in ("layers", "constant", "shapes", "types", "precision", "opset", "inputs", "outputs"):
        assert getattr(graph, part) == getattr(fresh, part), part


EDITS: dict[str, Callable[[Graph], object]] = {
    "nothing": lambda g: None,
    "node before": lambda g: g.insert(node("Neg", ["m"], ["n"], name="neg"), before=named(g, "relu")),
    "node after": lambda g: g.insert(node("Neg", ["m"], ["n"], name="neg"), after=named(g, "layer")),
    "node removed": lambda g: g.remove(named(g, "abs")),
    "input": lambda g: g.set_input(named(g, "relu"), 0, "x"),
    "inputs": lambda g: g.set_inputs(named(g, "add"), ["b", "b"]),
    "output": lambda g: g.rename_output(named(g, "abs"), "s"),
    "constant": lambda g: g.add_constant("c", np.ones(3, np.float16)),
    "another matrix": lambda g: g.set_input(named(g, "layer"), 1, g.add_constant("other.weight", np.ones((4, 7), np.float32))),
    "pruned": lambda g: g.prune(),
    "opset": lambda g: g.set_opset(18),
    "domain": lambda g: g.set_opset(1, "com.microsoft"),
    "shapes": lambda g: g.state_shapes(),
}


@pytest.mark.parametrize("edit", EDITS)
def test_indexes_are_true_after_an_edit(edit: str) -> None:
    graph = chain()
    assert_indexed(graph)  # which also computes what is kept until the next edit
    EDITS[edit](graph)
    assert_indexed(graph)


def test_every_tensor_of_a_network_is_indexed() -> None:
    graph = simplified(17)[0]
    for entry in graph.nodes:
        assert all(graph.makers[name] is entry for name in entry.output)
        assert all(any(reader is entry for reader in graph.readers[name]) for name in tensors_read(entry))
    assert graph.shapes.keys() >= set(graph.makers)
    assert graph.types.keys() >= set(graph.makers)


def test_node_is_inserted_where_it_is_said() -> None:
    graph = chain()
    graph.insert(node("Neg", ["x"], ["before"], name="before"), before=named(graph, "relu"))
    graph.insert(node("Neg", ["x"], ["after"], name="after"), after=named(graph, "relu"))
    assert [entry.name for entry in graph.nodes] == ["layer", "before", "relu", "after", "add", "abs"]


def test_node_that_takes_the_place_of_another_gives_its_result() -> None:
    graph = chain()
    old = named(graph, "relu")
    new = graph.insert(node("Sigmoid", ["m"], ["r"], name="sigmoid"), before=old)
    graph.remove(old)
    assert graph.makers["r"] is new
    x = np.linspace(-2, 2, 4, dtype=np.float32)[None]
    np.testing.assert_allclose(graph.run(x), 1 / (1 + np.exp(-x)) + 1, rtol=1e-6)


def test_pruning_leaves_what_outputs_depend_on() -> None:
    graph = chain()
    graph.prune()
    assert [entry.name for entry in graph.nodes] == ["layer", "relu", "add"]
    assert list(graph.stored) == ["w.weight", "b"]


def test_pruning_keeps_what_a_body_reads_from_outside() -> None:
    bodies = [
        helper.make_graph([node("Identity", [name], [f"{name}_out"])], name, [], [onnx.ValueInfoProto(name=f"{name}_out")])
        for name in ("a", "b")
    ]
    nodes = [
        node("ReduceMax", ["x"], ["m"], keepdims=0),
        node("Cast", ["m"], ["flag"], to=TensorProto.BOOL),
        node("If", ["flag"], ["y"], then_branch=bodies[0], else_branch=bodies[1]),
    ]
    weights = [numpy_helper.from_array(W, name) for name in ("a", "b", "c")]
    x, y = (
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [4]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 4]),
    )
    graph = Graph(helper.make_model(helper.make_graph(nodes, "sample", [x], [y], weights)))
    graph.prune()
    assert list(graph.stored) == ["a", "b"]


def test_constant_of_a_taken_name_gets_another() -> None:
    graph = chain()
    assert [graph.add_constant("b", W), graph.add_constant("m", W), graph.add_constant("x", W)] == ["b#2", "m#2", "x#2"]
    np.testing.assert_array_equal(graph.value("b"), np.ones(4))


def test_constant_nodes_become_initializers_with_their_values() -> None:
    nodes = [node("Constant", [], ["c"], value=numpy_helper.from_array(2 * W)), node("MatMul", ["x", "c"], ["y"])]
    graph = make_graph(nodes, [1, 4], {})
    assert (list(graph.stored), list(graph.layers)) == (["c"], [])
    graph.store_constants()
    assert [entry.op_type for entry in graph.nodes] == ["MatMul"]
    assert list(graph.layers) == ["c"]
    np.testing.assert_array_equal(graph.value("c"), 2 * W)


def test_copy_is_changed_alone() -> None:
    graph = chain()
    before = graph.proto.SerializeToString()
    copy = graph.copy()
    copy.set_input(named(copy, "relu"), 0, "x")
    copy.prune()
    assert graph.proto.SerializeToString() == before


def test_shapes_are_those_of_one_window_and_the_batch_stays_free() -> None:
    graph = chain()
    assert graph.shapes["y"] == (1, 4)
    assert graph.proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    np.testing.assert_array_equal(graph.run(-np.ones((3, 4), np.float32)), np.ones((3, 4)))


def test_large_weights_take_part_in_inference_by_their_shape_and_small_ones_by_value() -> None:
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Reshape", ["m", "shape"], ["y"])]
    graph = make_graph(nodes, [6, 40], {"w": np.ones((40, 30), np.float32), "shape": np.array([2, -1, 30])})
    graph.forget_shapes()
    assert (graph.shapes["m"], graph.shapes["y"]) == ((6, 30), (2, 3, 30))


def test_graph_that_contradicts_itself_has_the_shapes_that_it_states() -> None:
    graph = Graph(small_graphs.contradiction())
    assert graph.shapes["x"] == (17, 32)
    assert "y" not in graph.shapes


def test_any_tensor_can_be_asked_for() -> None:
    x = np.array([[-1, 2, -3, 4]], np.float32)
    relu, y = chain().evaluator(["r", "y"])(x)
    np.testing.assert_array_equal(relu, np.maximum(x, 0))
    np.testing.assert_array_equal(y, relu + 1)


@pytest.mark.parametrize(
    ("model", "precision"),
    [
        (lambda: chain().proto, "fp32"),
        (lambda: small_graphs.unary("Relu"), "fp32"),
        (lambda: small_graphs.decomposed_norm(small_graphs.F16), "fp16"),
        (lambda: small_graphs.integers([node("Cast", ["i"], ["y"], to=TensorProto.FLOAT16)], out=TensorProto.FLOAT16), "fp16"),
        (qdq_graphs.quantized, "int8"),
        (qdq_graphs.lone_weight, "int8"),
        (lambda: small_graphs.unary("QLinearSoftmax", domain="com.microsoft"), "int8"),
        (qdq_graphs.mixed, "int8-fp16"),
    ],
)
def test_precision_is_what_types_and_operators_amount_to(model: Callable[[], onnx.ModelProto], precision: str) -> None:
    assert Graph(model()).precision == precision
