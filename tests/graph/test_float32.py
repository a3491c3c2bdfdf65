"""What TensorRT must not round: what a half graph keeps, and of any other what its half precision form would keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import helper

from poseedge.graph.float32 import float32_nodes
from poseedge.graph.fp16 import to_fp16, to_int8_fp16
from poseedge.graph.graph import Graph
from poseedge.int8.placement import place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from tests.support.engines import normalized_graph, write_graph
from tests.support.graphs import simplified, windows

RAW = ["choose", "lift"]  # what the hand-written network does with raw coordinates


def test_decomposed_norms_of_a_float32_graph_and_what_leads_to_them(tmp_path: Path) -> None:
    norm = ["deviation", "difference", "mean", "normed", "square", "steady", "variance"]
    assert float32_nodes(Graph.load(normalized_graph(tmp_path / "norm.onnx"))) == norm


@pytest.mark.parametrize(("precision", "held"), [("fp32", RAW), ("int8", RAW), ("fp16", [])])
def test_what_reads_raw_coordinates_unless_the_graph_says_otherwise(tmp_path: Path, precision: str, held: list[str]) -> None:
    assert float32_nodes(Graph.load(write_graph(tmp_path / "small.onnx", precision))) == held


def test_all_that_a_half_graph_keeps_in_float32(tmp_path: Path) -> None:
    graph = Graph.load(write_graph(tmp_path / "half.onnx", "fp16"))
    first = graph.nodes[0]
    graph.insert(helper.make_node("Add", ["keypoints", "keypoints"], ["twice"], name="kept"), before=first)
    graph.set_input(first, 0, "twice")
    assert float32_nodes(graph) == ["kept"]


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("two_step", [[], ["*"]], ids=["", "steady"])
def test_an_int8_graph_without_its_bundle_holds_what_the_graph_that_mixes_would_keep(opset: int, two_step: list[str]) -> None:
    exact = simplified(opset)[0]
    placement = place(exact, two_step=two_step)
    rounded = quantize(exact, placement, calibrate(exact, placement, windows()))
    held = float32_nodes(rounded)
    assert held == float32_nodes(to_int8_fp16(rounded, exact, []))
    assert any(name.endswith("_left") for name in held) is bool(two_step)  # the second step sees what the first left


def test_a_float32_graph_holds_what_its_half_precision_form_keeps() -> None:
    exact = simplified(13)[0]
    assert float32_nodes(exact) == float32_nodes(to_fp16(exact, []))
