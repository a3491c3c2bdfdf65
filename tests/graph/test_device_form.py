"""The form for boards computes the same with fewer, wider products; what it cannot join exactly it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from poseedge.arrays import AnyArray
from poseedge.export.pipeline import export_bundle
from poseedge.graph.cpu_form import widened
from poseedge.graph.device_form import device_form, fewer_products
from poseedge.graph.graph import Graph
from poseedge.int8.placement import place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from poseedge.targets.boards import load_target
from tests.support import small_export
from tests.support.graphs import make_graph
from tests.support.networks import exported

JOINED = ("nanohtnet-small", "htnet", "mhformer-27")


def keypoints_for(graph: Graph) -> np.ndarray:
    shape = [size.dim_value for size in graph.proto.graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def kinds(graph: Graph) -> list[str]:
    return sorted(node.op_type for node in graph.nodes)


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("name", JOINED)
def test_it_computes_the_same_with_fewer_products(name: str, opset: int) -> None:
    graph = exported(name, opset)
    before, joined = graph.proto.SerializeToString(), device_form(graph)
    assert graph.proto.SerializeToString() == before
    keypoints = keypoints_for(graph)
    np.testing.assert_allclose(joined.run(keypoints), graph.run(keypoints), rtol=0, atol=1e-5)
    assert len(joined.layers) < len(graph.layers)


def test_attention_that_stands_side_by_side_in_the_rows_is_left_alone() -> None:
    graph = exported("mixste-f27", 17)
    assert kinds(device_form(graph)) == kinds(widened(graph))


WEIGHTS: dict[str, AnyArray] = {
    "parts": np.array([2, 2], np.int64),
    "a1": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b1": np.arange(6, 12, dtype=np.float32).reshape(2, 3),
    "a2": np.arange(12, 18, dtype=np.float32).reshape(3, 2),
    "b2": np.arange(18, 24, dtype=np.float32).reshape(3, 2),
    **{f"{name}_bias": np.full(size, 0.5 + size, np.float32) for name, size in {"a1": 3, "b1": 3, "a2": 2, "b2": 2}.items()},
}
FACTORS = {"one": np.float32(0.5), "row": np.array([0.5, 1, 2], np.float32)}


def two_branches(order: str = "ab", factor: str = "one", shown: str = "") -> Graph:
    """Return a Split, two MLPs with ``factor`` between their layers, and a Concat; ``shown`` is added to what it gives."""
    nodes = [helper.make_node("Split", ["x", "parts"], ["a", "b"], axis=1)]
    for name in "ab":
        steps = [("MatMul", [name, f"{name}1"]), ("Add", ["", f"{name}1_bias"]), ("Mul", ["", factor])]
        steps += [("MatMul", ["", f"{name}2"]), ("Add", ["", f"{name}2_bias"])]
        last = ""
        for number, (kind, inputs) in enumerate(steps):
            nodes.append(helper.make_node(kind, [given or last for given in inputs], [last := f"{name}_{number}"]))
    nodes.append(helper.make_node("Concat", [f"{name}_4" for name in order], ["c"], axis=1))
    nodes.append(helper.make_node("Add", ["c", shown or "c"], ["y"]))
    return make_graph(nodes, [3, 4], {**WEIGHTS, factor: np.asarray(FACTORS[factor])})


def test_two_mlps_side_by_side_become_one() -> None:
    graph = two_branches()
    joined = device_form(graph)
    assert kinds(joined) == ["Add", "Add", "Add", "MatMul", "MatMul", "Mul"]
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(joined.run(x), graph.run(x), rtol=1e-6)


@pytest.mark.parametrize("graph", [two_branches("ba"), two_branches(factor="row"), two_branches(shown="a_4")])
def test_what_is_not_plainly_two_mlps_stays(graph: Graph) -> None:
    assert kinds(device_form(graph)) == kinds(graph)


@pytest.mark.slow
def test_boards_get_it_and_other_targets_do_not(tmp_path: Path) -> None:
    (inputs := tmp_path / "in")
    small_export.write_inputs(inputs)
    usual = small_export.job(inputs, tmp_path / "bundle", precisions=("fp32",))
    usual = replace(usual, recipe=usual.recipe.model_copy(update={"fp16": usual.recipe.fp16.model_copy(update={"keep": []})}))
    board = "jetson-orin-nano"
    nodes = {}
    for name, job in {"default": usual, board: replace(usual, target_name=board, target=load_target(board))}.items():
        manifest = export_bundle(replace(job, output=tmp_path / name))
        assert manifest.parity["fp32"].against_reference.distance_mm.max < 0.01
        nodes[name] = manifest.graphs["fp32"].nodes
    assert nodes[board] < nodes["default"]


@pytest.mark.parametrize("name", JOINED)
def test_joined_layers_are_named_by_all_and_found_by_each(name: str) -> None:
    graph = exported(name, 17)
    joined = fewer_products(graph)
    parts = {part for layer in joined.layers for part in layer.split("+")}
    assert parts == set(graph.layers)
    both = next(layer for layer in place(joined).layers if "+" in layer)
    for part in both.split("+"):
        assert place(joined, two_step=[part]).two_step_names == [both]


@pytest.mark.slow
@pytest.mark.parametrize("name", JOINED)
def test_int8_of_joined_layers_is_as_near_as_that_of_each(name: str) -> None:
    graph = exported(name, 17)
    windows = np.concatenate([keypoints_for(graph) * size for size in (0.2, 0.5, 1.0, 0.7)])
    exact = np.concatenate([graph.run(window[None]) for window in windows])
    apart = []
    for form in (graph, fewer_products(graph)):
        placement = place(form)
        rounded = quantize(form, placement, calibrate(form, placement, windows, migrate=0.5))
        apart.append(np.abs(np.concatenate([rounded.run(window[None]) for window in windows]) - exact).mean())
    assert apart[1] < 1.25 * apart[0]
