"""GraphMLP and its refine module."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from poseedge.errors import CheckpointError, PoseedgeError
from poseedge.models import create
from poseedge.models.graphmlp import GraphMLP, GraphMLPRefine, directed_adjacency
from poseedge.models.layers import DropPath
from tests.support import golden
from tests.support.capture import intermediates, parameter_count

INSIDE = {
    "after_embedding": "embedding",
    "block0_norm1": "mlp_gcn.blocks.0.norm1",
    "block0_gcn_1": "mlp_gcn.blocks.0.gcn_1",
    "block0_mlp_1": "mlp_gcn.blocks.0.mlp_1",
    "block0_norm2": "mlp_gcn.blocks.0.norm2",
    "block0_gcn_2": "mlp_gcn.blocks.0.gcn_2",
    "block0_mlp_2": "mlp_gcn.blocks.0.mlp_2",
    "after_block0": "mlp_gcn.blocks.0",
    "after_block1": "mlp_gcn.blocks.1",
    "after_norm": "mlp_gcn.norm",
}


@pytest.mark.parametrize("name", ["graphmlp", "graphmlp-small"])
def test_every_stage_equals_the_published_network(name: str) -> None:
    stored = golden.arrays(name)
    for label, value in intermediates(golden.network(name), INSIDE, stored["input"]).items():
        if "gcn" in label:  # stored channels first, with an axis of one
            value = value.swapaxes(1, 2)[:, :, None]
        np.testing.assert_allclose(value, stored[label], rtol=1e-4, atol=1e-5, err_msg=label)


@pytest.mark.parametrize("name", ["graphmlp", "graphmlp-small"])
def test_the_constructed_adjacency_is_the_published_one(name: str) -> None:
    np.testing.assert_array_equal(directed_adjacency().astype(np.float32), golden.arrays(name)["A_constructed"])


@pytest.mark.parametrize(
    ("frames", "parameters", "trainable"),
    [(1, 9_489_440, 9_488_284), (27, 9_517_702, 9_516_546), (81, 9_572_998, 9_571_842), (243, 9_738_886, 9_737_730)],
)
def test_sizes_are_those_of_the_published_networks(frames: int, parameters: int, trainable: int) -> None:
    network = create("graphmlp", frames=frames)
    assert (parameter_count(network), parameter_count(network, trainable=True)) == (parameters, trainable)


def test_the_refine_module_has_the_published_size() -> None:
    assert parameter_count(create("graphmlp_refine")) == 210_466


@pytest.mark.parametrize("name", ["graphmlp", "graphmlp-f243", "graphmlp-small"])
def test_shapes_tell_the_configuration(name: str) -> None:
    assert GraphMLP.infer_config(golden.shapes(name)) == golden.case(name)["config"]


def test_shapes_tell_the_refine_module() -> None:
    assert GraphMLPRefine.infer_config(golden.shapes("graphmlp-refine")) == golden.case("graphmlp-refine")["config"]


def test_the_width_tells_the_refine_module_from_the_other_networks() -> None:
    assert GraphMLPRefine.infer_config(golden.shapes("htnet-refine")) is None


def test_the_adjacency_is_one_tensor_under_all_its_keys() -> None:
    network = copy.deepcopy(create("graphmlp", channel=8, d_hid=8, token_dim=8))
    copies = [value for key, value in network.state_dict().items() if key == "A" or key.endswith(".adj")]
    assert len(copies) == 10
    assert len({value.data_ptr() for value in copies}) == 1


def test_a_file_whose_adjacency_copies_differ_is_refused() -> None:
    network = create("graphmlp", channel=8, d_hid=8, token_dim=8)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    state["mlp_gcn.blocks.1.gcn_2.adj"] += 0.5
    with pytest.raises(CheckpointError, match=r"blocks\.1\.gcn_2\.adj"):
        network.load_state_dict(state)


@pytest.mark.parametrize("frames", [1, 9])
def test_the_centre_frame_is_lifted(frames: int) -> None:
    network = create("graphmlp", frames=frames, channel=8, d_hid=8, token_dim=8)
    assert isinstance(network, GraphMLP)
    assert network.output_frames == (frames // 2,)
    assert network(torch.zeros(3, frames, 17, 2)).shape == (3, 1, 17, 3)


def test_regularisation_is_the_published_one() -> None:
    network = create("graphmlp", frames=9)
    assert [part.rate for part in network.modules() if isinstance(part, DropPath)] == [0.0, 0.1, 0.2]
    assert {part.p for part in network.modules() if isinstance(part, nn.Dropout)} == {0.1}


def test_another_number_of_joints_is_refused() -> None:
    with pytest.raises(PoseedgeError, match="17 joints, not 16"):
        create("graphmlp", n_joints=16)
