"""What TensorRT must not round: what a half graph keeps, and the norms of any other."""

from __future__ import annotations

from pathlib import Path

from onnx import helper

from poseedge.graph.float32 import float32_nodes
from poseedge.graph.graph import Graph
from tests.support.engines import normalized_graph, write_graph


def test_decomposed_norms_of_a_float32_graph(tmp_path: Path) -> None:
    norm = ["deviation", "difference", "mean", "normed", "square", "steady", "variance"]
    assert float32_nodes(Graph.load(normalized_graph(tmp_path / "norm.onnx"))) == norm


def test_graphs_without_norms_have_none(tmp_path: Path) -> None:
    for precision in ("fp32", "fp16", "int8"):
        assert float32_nodes(Graph.load(write_graph(tmp_path / "small.onnx", precision))) == []


def test_all_that_a_half_graph_keeps_in_float32(tmp_path: Path) -> None:
    model = Graph.load(write_graph(tmp_path / "half.onnx", "fp16"))
    first = model.nodes[0]
    model.insert(helper.make_node("Add", ["keypoints", "keypoints"], ["twice"], name="kept"), before=first)
    model.set_input(first, 0, "twice")
    assert float32_nodes(model) == ["kept"]
