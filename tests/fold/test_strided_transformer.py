"""What the Strided Transformer's fold alone promises."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import pytest

from poseedge.fold.strided_transformer import StridePlan
from poseedge.graph.float32 import embedded
from poseedge.graph.fp16 import to_fp16
from tests.support.networks import assert_folded_equals_plain, drawn, exported, windows


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the float32 number")
def test_norms_stay_in_single_precision_when_the_rest_is_half() -> None:
    exact = exported("strided_transformer", 17)
    graph = to_fp16(exact, keep=[])
    lengths = [node for node in graph.nodes if node.op_type == "ReduceL2"]
    first = {node.name for node in exact.nodes if embedded(exact).intersection(node.output)}
    products = [node for node in graph.nodes if node.op_type == "MatMul" and node.name not in first]
    assert {graph.types[name] for node in lengths for name in (*node.input, *node.output)} == {onnx.TensorProto.FLOAT}
    assert {graph.types[node.output[0]] for node in products} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize(
    ("frames", "stride", "read", "padding"),
    [
        (351, 3, range(350), (1, 0)),
        (13, 13, (0, 1), (0, 0)),
        (19, 9, (0, 1, 8, 9, 10, 17, 18), (1, 1)),
        (5, 2, range(5), (1, 1)),
        (4, 1, range(4), (1, 1)),
        (1, 1, (0,), (0, 0)),
    ],
)
def test_a_strided_layer_reads_the_frames_under_its_kernel(
    frames: int, stride: int, read: Sequence[int], padding: tuple[int, int]
) -> None:
    plan = StridePlan(frames, stride)
    assert (plan.read, plan.padding) == (list(read), padding)


@pytest.mark.parametrize("strides", [[1, 2, 2], [4, 1], [5], [2]])
def test_folded_equals_plain_for_any_strides(strides: list[int]) -> None:
    network = drawn("strided_transformer", frames=9, layers=1, channel=16, d_hid=24, stride_num=strides)
    assert_folded_equals_plain(network, windows(network, 2))
