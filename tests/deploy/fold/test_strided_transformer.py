"""Strided Transformer's folded form and graph."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import pytest

from poseedge.deploy.fold.strided_transformer import StridePlan
from poseedge.deploy.precision import to_fp16
from poseedge.models.registry import LiftingNetwork
from tests.deploy.fold import exported


@pytest.fixture(scope="module")
def network() -> LiftingNetwork:
    return exported.lifting("strided_transformer")


@pytest.mark.parametrize("name", ["strided_transformer", "strided_transformer-27", "strided_transformer-81x4"])
@pytest.mark.parametrize(("batch", "free_batch"), [(1, False), (1, True), (3, True)])
def test_folded_equals_plain(name: str, batch: int, free_batch: bool) -> None:
    exported.assert_folded_equals_plain(exported.lifting(name), batch, free_batch)


@pytest.mark.parametrize("opset", [13, 17])
def test_exported_graph_equals_pytorch(network: LiftingNetwork, opset: int) -> None:
    exported.assert_export_equals_pytorch(network, exported.exported(network, opset))


@pytest.mark.parametrize("opset", [13, 17])
def test_exported_graph_is_fit_for_deployment(network: LiftingNetwork, opset: int) -> None:
    exported.assert_fit_for_deployment(exported.exported(network, opset))


def test_graph_with_a_free_batch_equals_pytorch(network: LiftingNetwork) -> None:
    model = exported.exported(network, 17, free_batch=True)
    exported.assert_fit_for_deployment(model)
    exported.assert_export_equals_pytorch(network, model, batch=3)


@pytest.mark.filterwarnings("ignore:the float32 number")
def test_norms_stay_in_single_precision_when_the_rest_is_half(network: LiftingNetwork) -> None:
    model = onnx.shape_inference.infer_shapes(to_fp16(exported.exported(network, 17), keep=[]))
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    lengths = [node for node in model.graph.node if node.op_type == "ReduceL2"]
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    assert {types[name] for node in lengths for name in (*node.input, *node.output)} == {onnx.TensorProto.FLOAT}
    assert {types[node.output[0]] for node in products} == {onnx.TensorProto.FLOAT16}


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
    network = exported.drawn("strided_transformer", frames=9, layers=1, channel=16, d_hid=24, stride_num=strides)
    exported.assert_folded_equals_plain(network, 2, free_batch=True)
