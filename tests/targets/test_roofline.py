"""The roofline: each kernel takes the longest of arithmetic, memory and launch, and the parts are told."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from poseedge.errors import PoseedgeError
from poseedge.graph.graph import Graph
from poseedge.targets import roofline
from poseedge.targets.boards import load_target
from poseedge.targets.roofline import estimate
from tests.support import qdq_graphs, small_graphs

NANO = load_target("jetson-orin-nano")
PEAK = {"fp32": 1.28e12, "fp16": 10.2e12, "int8": 20.5e12}
BANDWIDTH, MULTIPROCESSORS, TILE = 68e9, 8, 64


@pytest.fixture(autouse=True)
def no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "LAUNCH_US", 0.0)


def layer(rows: int, depth: int = 256, width: int = 512) -> Graph:
    weights = {"w": np.ones((depth, width), np.float32)}
    return Graph(small_graphs.make_model([small_graphs.node("MatMul", ["x", "w"], ["y"])], weights, (rows, depth)))


def test_large_product_takes_its_operations_at_the_peak() -> None:
    found = estimate(layer(64 * 1024), NANO)
    assert found.flops == 2 * 64 * 1024 * 256 * 512
    assert found.compute_ms == pytest.approx(found.flops / PEAK["fp32"] * 1e3)
    assert found.latency_ms == pytest.approx(max(found.compute_ms, found.memory_ms))


def test_small_product_takes_whole_tiles_in_whole_waves() -> None:
    found = estimate(layer(17, width=48), NANO)
    assert found.compute_ms == pytest.approx(2 * TILE * TILE * 256 * MULTIPROCESSORS / PEAK["fp32"] * 1e3)


def test_few_rows_take_their_bytes() -> None:
    found = estimate(layer(1), NANO)
    size = 4 * (256 * 512 + 256 + 512)
    assert (found.weight_bytes, found.activation_bytes) == (4 * 256 * 512, 4 * (256 + 512))
    assert found.memory_ms == pytest.approx(size / BANDWIDTH * 1e3)


def test_launches_are_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "LAUNCH_US", 5000.0)
    found = estimate(layer(17), NANO)
    assert (found.latency_ms, found.launch_ms) == (5.0, 5.0)
    assert (found.kernels, found.launch_bound) == (1, 1)


def test_int8_layer_runs_at_the_int8_peak_with_one_byte_a_value() -> None:
    found = estimate(Graph(qdq_graphs.quantized()), NANO)
    assert found.kernels == 1
    assert found.weight_bytes == 32 * 48
    assert found.activation_bytes == 17 * 32 + 2 * 17 * 48  # its output is FP16: flags choose the rest
    assert found.compute_ms == pytest.approx(2 * TILE * TILE * 32 * MULTIPROCESSORS / PEAK["int8"] * 1e3)


def test_with_strong_typing_the_rest_of_int8_is_what_the_graph_says() -> None:
    found = estimate(Graph(qdq_graphs.quantized()), load_target("jetson-orin-nano-jp7.2"))
    assert found.activation_bytes == 17 * 32 + 4 * 17 * 48


def test_pointwise_operators_and_changes_of_shape_are_no_kernels() -> None:
    nodes = [
        small_graphs.node("Relu", ["x"], ["a"]),
        small_graphs.node("Reshape", ["a", "s"], ["b"]),
        small_graphs.node("Softmax", ["b"], ["c"]),
        small_graphs.node("Transpose", ["c"], ["y"]),
    ]
    assert estimate(Graph(small_graphs.make_model(nodes, {"s": np.array([32, 17])})), NANO).kernels == 2


def test_norm_that_is_decomposed_is_one_kernel() -> None:
    assert estimate(Graph(small_graphs.decomposed_norm(small_graphs.F32)), NANO).kernels == 1


def test_general_target_has_no_estimate() -> None:
    with pytest.raises(PoseedgeError, match="default names no board"):
        estimate(layer(17), load_target("default"))


def test_board_without_int8_has_no_estimate_of_it() -> None:
    with pytest.raises(PoseedgeError, match="Maxwell"):
        estimate(Graph(qdq_graphs.quantized()), load_target("jetson-nano"))


def test_graph_that_cannot_be_counted_has_no_estimate() -> None:
    model = small_graphs.make_model(
        [small_graphs.node("MatMul", ["x", "w"], ["y"])], {"w": small_graphs.WEIGHT}, ("batch", "frames", 32)
    )
    with pytest.raises(PoseedgeError, match="cannot be inferred"):
        estimate(Graph(onnx.shape_inference.infer_shapes(model)), NANO)
