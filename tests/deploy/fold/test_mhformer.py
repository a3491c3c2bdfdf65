"""MHFormer folded, alone and pruned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseedge.models import create
from poseedge.models.registry import LiftingNetwork
from tests.deploy.fold import promises

CASES = ["mhformer-27", "tpc_mhformer-27"]
SMALL = {"frames": 36, "channel": 16, "d_hid": 32}


@pytest.mark.parametrize("name", [*CASES, "mhformer-81", "tpc_mhformer-81"])
def test_folded_network_equals_the_plain_one(name: str) -> None:
    promises.folded_equals_plain(promises.network(name), promises.windows(name))


@pytest.mark.parametrize("layer_index", [0, 1, 2])
def test_wherever_it_is_cut_the_folded_network_equals_the_plain_one(layer_index: int) -> None:
    folds(create("tpc_mhformer", **SMALL, token_num=4, layer_index=layer_index))


@pytest.mark.parametrize("layers", [1, 2])
def test_whatever_its_depth_the_folded_network_equals_the_plain_one(layers: int) -> None:
    folds(create("mhformer", **SMALL, layers=layers))


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


def test_exported_graph_keeps_the_frames_that_the_network_keeps() -> None:
    promises.exported_selection_is_the_network_s("tpc_mhformer-27")


def test_frames_are_chosen_in_float32_in_the_fp16_graph() -> None:
    promises.selection_is_exact_in_half_precision("tpc_mhformer-27")


def test_frames_are_never_chosen_in_int8() -> None:
    promises.selection_is_never_quantized("tpc_mhformer-27")


@pytest.mark.parametrize("name", CASES)
def test_the_pose_that_is_lifted_is_the_centre_frame_s(name: str) -> None:
    network = promises.network(name)
    assert network.output_frames == (13,)
    assert promises.lifted(network, promises.windows(name)).shape == (2, 1, 17, 3)


def folds(network: object) -> None:
    assert isinstance(network, LiftingNetwork)
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    promises.folded_equals_plain(network, np.random.default_rng(0).standard_normal((2, 36, 17, 2)).astype(np.float32))
