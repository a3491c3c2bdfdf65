"""Operations and parameters, counted from shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from benchmarks.naive import published_form
from poseedge.graph.flops import UncountableError, graph_cost, products
from poseedge.graph.graph import Graph
from poseedge.models import create
from poseedge.models.flops import network_cost
from poseedge.models.nanohtnet import NanoHTNet
from tests.support import samples


def floats(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def multiply_adds(model: onnx.ModelProto) -> list[int]:
    return [product.multiply_adds for product in products(Graph(model))]


def test_matmul_counts_rows_times_inner_times_columns() -> None:
    graph = samples.model([helper.make_node("MatMul", ["x", "w"], ["y"])], [1, 17, 80], {"w": floats(80, 256)})
    assert multiply_adds(graph) == [17 * 80 * 256]


@pytest.mark.parametrize("shape", [(80, 256), (256, 80)])
def test_gemm_counts_the_same_for_either_weight_layout(shape: tuple[int, int]) -> None:
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=int(shape[0] == 256))
    assert multiply_adds(samples.model([node], [17, 80], {"w": floats(*shape), "b": floats(256)})) == [17 * 80 * 256]


def test_grouped_convolution_counts_its_own_inputs_only() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4, strides=[3], kernel_shape=[3])
    assert multiply_adds(samples.model([node], [1, 80, 12], {"w": floats(40, 20, 3)})) == [4 * 40 * 20 * 3]


def test_einsum_counts_every_label_once() -> None:
    node = helper.make_node("Einsum", ["w", "x"], ["y"], equation="ij,bjk->bik")
    assert multiply_adds(samples.model([node], [1, 17, 80], {"w": floats(17, 17)})) == [17 * 17 * 80]


def test_attention_operator_counts_both_products() -> None:
    node = helper.make_node("Attention", ["x", "x", "x"], ["y"], q_num_heads=8, kv_num_heads=8)
    assert multiply_adds(samples.model([node], [1, 17, 80], {}, opset=23)) == [2 * 17 * 17 * 80]


def test_free_batch_counts_as_one_window() -> None:
    graph = samples.model([helper.make_node("MatMul", ["x", "w"], ["y"])], ["batch", 17, 80], {"w": floats(80, 256)})
    assert multiply_adds(graph) == [17 * 80 * 256]


def test_products_of_constants_cost_nothing() -> None:
    nodes = [helper.make_node("MatMul", ["a", "a"], ["aa"]), helper.make_node("MatMul", ["aa", "x"], ["y"])]
    assert multiply_adds(samples.model(nodes, [17, 80], {"a": floats(17, 17)})) == [17 * 17 * 80]


def test_attention_products_are_told_from_weight_products(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["q"]),
        helper.make_node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "k"], ["y"]),
    ]
    onnx.save(samples.model(nodes, [1, 17, 80], {"w": floats(80, 80)}), tmp_path / "a.onnx")
    cost = graph_cost(tmp_path / "a.onnx")
    assert cost.flops == 2 * (17 * 80 * 80 + 17 * 80 * 17)
    assert cost.flops_without_attention == 2 * 17 * 80 * 80


def test_quantised_weight_is_a_weight_and_its_scale_is_no_parameter(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w8", "scale", "zero"], ["w"], axis=1),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    weights = {"w8": np.ones((80, 256), np.int8), "scale": floats(256), "zero": np.zeros(256, np.int8)}
    onnx.save(samples.model(nodes, [1, 17, 80], weights), tmp_path / "q.onnx")
    cost = graph_cost(tmp_path / "q.onnx")
    assert (cost.flops, cost.attention_flops, cost.params) == (2 * 17 * 80 * 256, 0, 80 * 256)


def test_shapes_computed_at_run_time_are_followed() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "last"], ["width"]),
        helper.make_node("Div", ["width", "two"], ["half"]),
        helper.make_node("Slice", ["x", "zero", "half", "axis"], ["left"]),
        helper.make_node("MatMul", ["left", "w"], ["y"]),
    ]
    numbers = {"last": [2], "two": [2], "zero": [0], "axis": [2]}
    weights = {name: np.array(value, np.int64) for name, value in numbers.items()} | {"w": floats(40, 10)}
    assert multiply_adds(samples.model(nodes, ["batch", 17, 80], weights)) == [17 * 40 * 10]


def test_unknown_operator_gives_no_number_and_says_why(tmp_path: Path) -> None:
    node = helper.make_node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft")
    graph = samples.model([node], [1, 17, 80], {"w": floats(80, 256)})
    graph.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(UncountableError, match=r"com\.microsoft\.FusedMatMul"):
        products(Graph(graph))
    onnx.save(graph, tmp_path / "fused.onnx")
    cost = graph_cost(tmp_path / "fused.onnx")
    assert cost.flops is None
    assert cost.flops_without_attention is None
    assert "FusedMatMul" in cost.unknown


def test_weights_in_a_side_file_count_as_file_bytes(tmp_path: Path) -> None:
    graph = samples.model([helper.make_node("MatMul", ["x", "w"], ["y"])], [1, 17, 80], {"w": floats(80, 256)})
    onnx.save(graph, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    cost = graph_cost(tmp_path / "m.onnx")
    assert cost.file_bytes == sum(file.stat().st_size for file in tmp_path.iterdir()) > 80 * 256 * 4


def test_network_and_its_exported_graph_cost_the_same(tmp_path: Path) -> None:
    network = create("nanohtnet", channel=48, frames=27, keep_frames=3, layers=1)
    assert isinstance(network, NanoHTNet)
    plain = published_form(network)
    window = torch.zeros(1, 27, 17, 2)
    torch.onnx.export(plain, (window,), str(tmp_path / "n.onnx"), opset_version=17, dynamo=False)
    of_graph, of_network = graph_cost(tmp_path / "n.onnx"), network_cost(plain, tmp_path / "n.onnx")
    assert of_graph.flops == of_network.flops
    assert of_graph.flops_without_attention == of_network.flops_without_attention
    assert of_graph.attention_flops


def test_single_file_gives_operations_parameters_nodes_and_bytes(tmp_path: Path) -> None:
    path = samples.lifting_graph(tmp_path / "g.onnx")
    cost = graph_cost(path)
    assert (cost.flops, cost.params, cost.nodes) == (2 * samples.FRAMES * 17 * 2 * 3, 6, 1)
    assert cost.file_bytes == path.stat().st_size
