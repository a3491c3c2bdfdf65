"""MixSTE folded, alone and with the Hourglass Tokenizer."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from poseedge.models import create
from poseedge.models.registry import LiftingNetwork
from tests.deploy.fold import promises

CASES = ["mixste-f27", "hot_mixste-f27", "tpc_mixste-f27"]
PRUNED = CASES[1:]
SMALL = {"frames": 9, "channel": 16, "d_hid": 32, "depth": 3}


@pytest.mark.parametrize("name", CASES)
def test_folded_network_equals_the_plain_one(name: str) -> None:
    promises.folded_equals_plain(promises.network(name), promises.windows(name))


@pytest.mark.parametrize("layer_index", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["hot_mixste", "tpc_mixste"])
def test_wherever_it_is_cut_the_folded_network_equals_the_plain_one(name: str, layer_index: int) -> None:
    torch.manual_seed(layer_index)
    network = create(name, **SMALL, token_num=4, layer_index=layer_index)
    assert isinstance(network, LiftingNetwork)
    promises.folded_equals_plain(network, np.random.default_rng(0).standard_normal((2, 9, 17, 2)).astype(np.float32))


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("name", CASES)
def test_exported_graph_equals_the_network(name: str, opset: int) -> None:
    promises.exported_equals_plain(name, opset)


@pytest.mark.parametrize("name", CASES)
def test_exported_graph_with_a_free_batch_equals_the_network(name: str) -> None:
    promises.exported_with_a_free_batch_equals_plain(name)


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("name", CASES)
def test_exported_graph_holds_nothing_hostile_and_nothing_unread(name: str, opset: int) -> None:
    promises.graph_is_clean(name, opset)


@pytest.mark.parametrize("name", PRUNED)
def test_exported_graph_keeps_the_frames_that_the_network_keeps(name: str) -> None:
    promises.exported_selection_is_the_network_s(name)


@pytest.mark.parametrize("name", PRUNED)
def test_frames_are_chosen_in_float32_in_the_fp16_graph(name: str) -> None:
    promises.selection_is_exact_in_half_precision(name)


@pytest.mark.parametrize("name", PRUNED)
def test_frames_are_never_chosen_in_int8(name: str) -> None:
    promises.selection_is_never_quantized(name)


def test_last_temporal_block_looks_from_the_centre_alone() -> None:
    shapes = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in onnx.shape_inference.infer_shapes(promises.graph("tpc_mixste-f27")).graph.value_info
    }
    softmaxes = [node for node in promises.graph("tpc_mixste-f27").graph.node if node.op_type == "Softmax"]
    assert shapes[softmaxes[-1].output[0]] == (1, 17 * 8, 1, 9)
    assert shapes[softmaxes[-3].output[0]] == (1, 17 * 8, 27, 27)
