"""The floor holds a graph's products, weights' and attention's, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from benchmarks.floor import floor_call, openvino_floor_call, write_floor
from poseedge.bench.latency import Candidate
from poseedge.graph.flops import graph_cost, products
from poseedge.graph.graph import Graph
from tests.support import samples

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")  # not imported: it reports


def graph(path: Path) -> Path:
    """Write products of every kind: Gemm with bias, weight on the left, two layers of one shape, two activations twice."""
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b"], ["h"], transB=1),
        helper.make_node("Gelu", ["h"], ["g"]),
        helper.make_node("MatMul", ["g", "w1"], ["i"]),
        helper.make_node("MatMul", ["i", "w2"], ["j"]),
        helper.make_node("MatMul", ["p", "j"], ["k"]),
        helper.make_node("Transpose", ["k"], ["t"]),
        helper.make_node("MatMul", ["k", "t"], ["s"]),
        helper.make_node("MatMul", ["k", "t"], ["r"]),
        helper.make_node("Add", ["s", "r"], ["y"]),
    ]
    shapes = {"w0": (48, 34), "b": (48,), "w1": (48, 48), "w2": (48, 48), "p": (17, 17)}
    weights = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    onnx.save(samples.model(nodes, [17, 34], weights, opset=20), path)
    return path


def test_floor_has_the_shapes_of_all_weight_products_and_no_other_node(tmp_path: Path) -> None:
    whole = onnx.load(graph(tmp_path / "whole.onnx"))
    write_floor(tmp_path / "whole.onnx", tmp_path / "floor.onnx")
    floor = onnx.load(tmp_path / "floor.onnx")
    onnx.checker.check_model(floor, full_check=True)
    wanted = Counter(product.shapes[:2] for product in products(Graph(whole)))
    assert Counter(product.shapes for product in products(Graph(floor))) == wanted
    assert len(floor.graph.node) == 6


def test_floor_costs_what_the_graph_costs(tmp_path: Path) -> None:
    write_floor(graph(tmp_path / "whole.onnx"), tmp_path / "floor.onnx")
    floor, whole = (graph_cost(tmp_path / name) for name in ("floor.onnx", "whole.onnx"))
    assert (floor.flops, floor.attention_flops) == (whole.flops, whole.attention_flops)


def test_every_product_reads_weights_of_its_own(tmp_path: Path) -> None:
    write_floor(graph(tmp_path / "whole.onnx"), tmp_path / "floor.onnx")
    floor = onnx.load(tmp_path / "floor.onnx").graph
    weights = {tensor.name for tensor in floor.initializer}
    read = [name for node in floor.node for name in node.input if name in weights]
    assert len(read) == len(set(read)) == 4


def test_no_two_products_share_an_activation(tmp_path: Path) -> None:
    write_floor(graph(tmp_path / "whole.onnx"), tmp_path / "floor.onnx")
    floor = onnx.load(tmp_path / "floor.onnx").graph
    read = [name for node in floor.node for name in node.input]
    assert len(read) == len(set(read))


def test_attention_as_one_node_is_a_product_too(tmp_path: Path) -> None:
    nodes = [helper.make_node("Attention", ["x", "k", "v"], ["y"])]
    weights = {name: np.ones((1, 2, 9, 8), np.float32) for name in "kv"}
    onnx.save(samples.model(nodes, [1, 2, 9, 8], weights, opset=23), tmp_path / "whole.onnx")
    write_floor(tmp_path / "whole.onnx", tmp_path / "floor.onnx")
    floor_call(tmp_path / "floor.onnx", 1)()
    floor, whole = (graph_cost(tmp_path / name) for name in ("floor.onnx", "whole.onnx"))
    assert floor.flops == whole.flops
    assert floor.flops


def test_runtime_removes_no_product(tmp_path: Path) -> None:
    write_floor(graph(tmp_path / "whole.onnx"), tmp_path / "floor.onnx")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(tmp_path / "floor.onnx"), options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["MatMul"] + kinds["Gemm"] == 6


@pytest.mark.parametrize("call", [floor_call, pytest.param(openvino_floor_call, marks=needs_openvino)])
def test_floor_runs(tmp_path: Path, call: Callable[[Path, int], Candidate]) -> None:
    write_floor(graph(tmp_path / "whole.onnx"), tmp_path / "floor.onnx")
    call(tmp_path / "floor.onnx", 1)()
