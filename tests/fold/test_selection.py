"""The frames that a pruned network keeps are the same in its graphs: float32, FP16 and INT8."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from poseedge.arrays import AnyArray, Float32Array
from poseedge.graph.fp16 import to_fp16
from poseedge.graph.graph import Graph
from poseedge.graph.nodes import casts_to
from poseedge.graph.structure import leading_to_selection, serving_selection_only
from poseedge.int8.placement import place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from poseedge.models import create
from poseedge.models.pruning import PrunedNetwork
from tests.support.networks import assert_folded_equals_plain, exported, lifting, pruned_cases
from tests.support.networks import windows as random_windows

pytestmark = pytest.mark.slow

SMALL: dict[str, dict[str, Any]] = {
    "tpc_mhformer": {"frames": 36, "channel": 16, "d_hid": 32},
    "hot_mixste": {"frames": 9, "channel": 16, "d_hid": 32, "depth": 3},
    "tpc_mixste": {"frames": 9, "channel": 16, "d_hid": 32, "depth": 3},
    "hot_motionbert": {"maxlen": 9, "dim_feat": 16, "dim_rep": 24, "depth": 2},
}


def pruned(name: str) -> PrunedNetwork:
    network = lifting(name)
    assert isinstance(network, PrunedNetwork)
    return network


def windows(name: str) -> Float32Array:
    """Return windows whose frames differ."""
    return random_windows(lifting(name), 3).numpy()


def selection(graph: Graph, window: Float32Array) -> AnyArray:
    """Return the frames that a graph keeps of one window, in its order."""
    (index,) = [node.output[1] for node in graph.nodes if node.op_type == "TopK"]
    return graph.evaluator([index])(window[None])[0][0]


@pytest.mark.parametrize("layer_index", [0, 1, 2])
@pytest.mark.parametrize("name", SMALL)
def test_wherever_it_is_cut_the_folded_network_equals_the_plain_one(name: str, layer_index: int) -> None:
    torch.manual_seed(layer_index)
    network = create(name, **SMALL[name], token_num=4, layer_index=layer_index)
    assert isinstance(network, PrunedNetwork)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    shape = (2, network.frames, 17, network.in_channels)
    assert_folded_equals_plain(network, torch.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32)))


@pytest.mark.parametrize("name", pruned_cases())
def test_exported_graph_keeps_the_frames_that_the_network_keeps(name: str) -> None:
    wanted = pruned(name).select(torch.from_numpy(windows(name))).numpy()
    found = [selection(exported(name, 17), window) for window in windows(name)]
    np.testing.assert_array_equal(np.sort(found), wanted)


@pytest.mark.parametrize("name", pruned_cases())
def test_fp16_graph_computes_all_that_its_selection_depends_on_in_float32_but_for_products(name: str) -> None:
    half = to_fp16(exported(name, 17), [])
    readers, chosen = half.readers, leading_to_selection(half)
    rounded = [node for node in half.nodes if casts_to(node, onnx.TensorProto.FLOAT16) and node.output[0] in chosen]
    assert {reader.op_type for node in rounded for reader in readers[node.output[0]] if reader.output[0] in chosen} == {"MatMul"}
    assert not serving_selection_only(half) & {node.output[0] for node in rounded}


@pytest.mark.parametrize("name", pruned_cases())
def test_fp16_graph_keeps_the_frames_that_the_float32_graph_keeps(name: str) -> None:
    exact = exported(name, 17)
    half = to_fp16(exact, [])
    for window in windows(name):
        np.testing.assert_array_equal(np.sort(selection(half, window)), np.sort(selection(exact, window)))


@pytest.mark.parametrize("name", pruned_cases())
def test_layers_that_the_selection_depends_on_round_twice(name: str) -> None:
    graph = exported(name, 17)
    placement, chosen = place(graph), leading_to_selection(graph)
    outputs = {node.output[0] for node in placement.layers.values()}
    assert placement.two_step == outputs & chosen
    assert outputs - chosen, "only what the selection depends on"


@pytest.mark.parametrize("name", pruned_cases())
def test_frames_are_never_chosen_in_int8(name: str) -> None:
    graph = exported(name, 17)
    placement = place(graph)
    quantized = quantize(graph, placement, calibrate(graph, placement, windows(name)))
    serving = serving_selection_only(quantized)
    kinds = {node.op_type for node in quantized.nodes if serving.intersection(node.output)}
    assert "TopK" in kinds
    assert not kinds & {"QuantizeLinear", "DequantizeLinear"}
