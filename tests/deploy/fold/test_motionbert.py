"""MotionBERT folded, alone and with the Hourglass Tokenizer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseedge.models import create
from poseedge.models.registry import LiftingNetwork
from tests.deploy.fold import promises

CASES = ["motionbert-f27", "hot_motionbert-f27"]
SMALL = {"maxlen": 9, "dim_feat": 16, "dim_rep": 24, "depth": 2}


@pytest.mark.parametrize("name", CASES)
def test_folded_network_equals_the_plain_one(name: str) -> None:
    promises.folded_equals_plain(promises.network(name), promises.windows(name))


@pytest.mark.parametrize("layer_index", [0, 1, 2])
def test_wherever_it_is_cut_the_folded_network_equals_the_plain_one(layer_index: int) -> None:
    torch.manual_seed(layer_index)
    network = create("hot_motionbert", **SMALL, token_num=4, layer_index=layer_index)
    assert isinstance(network, LiftingNetwork)
    promises.folded_equals_plain(network, np.random.default_rng(0).standard_normal((2, 9, 17, 3)).astype(np.float32))


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
    promises.exported_selection_is_the_network_s("hot_motionbert-f27")


def test_frames_are_chosen_in_float32_in_the_fp16_graph() -> None:
    promises.selection_is_exact_in_half_precision("hot_motionbert-f27")


def test_frames_are_never_chosen_in_int8() -> None:
    promises.selection_is_never_quantized("hot_motionbert-f27")


def test_streams_are_fused_by_one_gate_instead_of_a_softmax() -> None:
    kinds = [node.op_type for node in promises.graph("motionbert-f27").graph.node]
    assert kinds.count("Sigmoid") == 2  # levels
    assert kinds.count("Softmax") == 2 * 4  # attention alone
