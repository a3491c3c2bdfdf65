"""NEHSNet: our reconstruction keeps its own specification; there is no published network to compare with."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from poseedge.errors import PoseedgeError
from poseedge.models import create
from poseedge.models.nehsnet import HYPEREDGES, Graphs, HypergraphLayer, NEHSNet
from poseedge.skeleton import BONES
from tests.support import golden
from tests.support.capture import parameter_count

FACTS = json.loads((golden.FOLDER / "nehsnet_graph.json").read_text())


def test_skeleton_and_groups_are_those_of_the_specification() -> None:
    assert [list(bone) for bone in BONES] == FACTS["bones_child_parent"]
    assert [list(group) for group in HYPEREDGES] == [edge["joints"] for edge in FACTS["hyperedges"]]


@pytest.mark.parametrize(
    ("constant", "fact"),
    [("node", "S_node"), ("edge", "S_line"), ("to_edge", "T_node_to_edge"), ("from_edge", "R_edge_to_node")],
)
def test_graph_constants_are_those_of_the_specification(constant: str, fact: str) -> None:
    np.testing.assert_allclose(getattr(Graphs(), constant), FACTS[fact], atol=1e-7)


def test_the_hypergraph_factors_make_up_the_hypergraph_operator() -> None:
    to_hyper, from_hyper = Graphs().hypergraph(torch.zeros(10))
    np.testing.assert_allclose(to_hyper, FACTS["P_node_to_hyper_unit_weights"], atol=1e-7)
    np.testing.assert_allclose(from_hyper, FACTS["Q_hyper_to_node_unit_weights"], atol=1e-7)
    np.testing.assert_allclose(from_hyper @ to_hyper, FACTS["G_unit_weights"], atol=1e-7)


def test_hyperedge_weights_enter_the_operator_as_in_hgnn() -> None:
    graphs, log_weight = Graphs(), torch.linspace(-1, 1, 10)
    to_hyper, from_hyper = graphs.hypergraph(log_weight)
    held, weight = graphs.incidence, log_weight.exp()
    node_scale, sizes = torch.diag((held * weight).sum(1) ** -0.5), held.sum(0)
    expected = node_scale @ held @ torch.diag(weight / sizes) @ held.T @ node_scale
    torch.testing.assert_close(from_hyper @ to_hyper, expected)


def test_bones_carry_their_vector_and_their_middle() -> None:
    joints = torch.randn(2, 17, 2, generator=torch.Generator().manual_seed(0))
    bones = (Graphs().bones @ joints).reshape(2, 16, 4)
    for bone, (child, parent) in enumerate(BONES):
        expected = torch.cat([joints[:, child] - joints[:, parent], (joints[:, child] + joints[:, parent]) / 2], dim=1)
        torch.testing.assert_close(bones[:, bone], expected)


def test_a_layer_is_the_five_equations_of_the_specification() -> None:
    torch.manual_seed(0)
    layer, graphs = HypergraphLayer(12, 3, 20, dropout=0.3).eval(), Graphs()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    nodes, edges, hyper = torch.randn(2, 17, 12), torch.randn(2, 16, 12), torch.randn(2, 10, 12)
    to_hyper, from_hyper = graphs.hypergraph(torch.randn(10))

    n, e, u = layer.norm_node(nodes), layer.norm_edge(edges), layer.norm_hyper(hyper)
    new_edges = edges + layer.attn_edge(e) + F.gelu(graphs.edge @ linear(layer.gcn_edge, e) + layer.gcn_edge.bias)
    new_edges = new_edges + layer.node_to_edge(graphs.to_edge @ n)
    new_hyper = hyper + layer.attn_hyper(u) + layer.node_to_hyper(to_hyper @ n)
    answer_edges = layer.edge_to_node(graphs.from_edge @ layer.norm_edge_out(new_edges))
    answer_hyper = layer.hyper_to_node(from_hyper @ layer.norm_hyper_out(new_hyper))
    new_nodes = nodes + layer.attn_node(n) + F.gelu(graphs.node @ linear(layer.gcn_node, n) + layer.gcn_node.bias)
    new_nodes = new_nodes + answer_edges / (1 + torch.exp(-layer.gate_edge))
    new_nodes = new_nodes + answer_hyper / (1 + torch.exp(-layer.gate_hyper))
    new_nodes = new_nodes + layer.mlp.fc2(F.gelu(layer.mlp.fc1(layer.norm_mlp(new_nodes))))

    for ours, expected in zip(
        layer(nodes, edges, hyper, graphs, (to_hyper, from_hyper)), (new_nodes, new_edges, new_hyper), strict=True
    ):
        torch.testing.assert_close(ours, expected)


def linear(module: torch.nn.Linear, x: Tensor) -> Tensor:
    return x @ module.weight.T


def test_size_and_cost_are_those_of_the_specification() -> None:
    network = create("nehsnet")
    assert parameter_count(network) == 4_050_805
    assert len(network.state_dict()) == 140
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 17, 2))
    assert round(counter.get_total_flops() / 2e6, 1) == 62.5


def test_keys_and_their_order_stay_as_fixed() -> None:
    layer = ["gate_edge", "gate_hyper"]
    layer += pairs([f"norm_{part}" for part in ("node", "edge", "hyper", "edge_out", "hyper_out", "mlp")])
    layer += pairs([f"attn_{part}.{linear}" for part in ("node", "edge", "hyper") for linear in ("qkv", "proj")])
    layer += pairs(["gcn_node", "gcn_edge", "node_to_edge", "node_to_hyper", "edge_to_node", "hyper_to_node"])
    layer += pairs(["mlp.fc1", "mlp.fc2"])
    expected = ["pos_node", "pos_edge", "pos_hyper", "hyper_log_weight", *pairs(["embed_node", "embed_edge", "embed_hyper"])]
    expected += [f"layers.0.{key}" for key in layer] + pairs(["norm", "head"])
    assert list(create("nehsnet", depth=1).state_dict()) == expected


def pairs(modules: list[str]) -> list[str]:
    return [f"{module}.{kind}" for module in modules for kind in ("weight", "bias")]


def test_of_a_window_only_the_centre_frame_counts() -> None:
    network = create("nehsnet", d_model=12, mlp_dim=8, depth=1, frames=5)
    assert isinstance(network, NEHSNet)
    window = torch.randn(2, 5, 17, 2, generator=torch.Generator().manual_seed(0))
    assert network.output_frames == (2,)
    with torch.no_grad():
        torch.testing.assert_close(network(window), network(window[:, 2:3]))
        assert network(window).shape == (2, 1, 17, 3)


def test_every_parameter_is_trained() -> None:
    network = create("nehsnet", d_model=12, mlp_dim=8, depth=2).train()
    network(torch.randn(4, 1, 17, 2, generator=torch.Generator().manual_seed(0))).norm(dim=-1).mean().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_shapes_tell_depth_and_widths() -> None:
    network = create("nehsnet", depth=2, d_model=24, mlp_dim=40)
    inferred = NEHSNet.infer_config({key: tuple(value.shape) for key, value in network.state_dict().items()})
    assert inferred == {"depth": 2, "d_model": 24, "mlp_dim": 40}


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(PoseedgeError, match="not 250 with 6 heads"):
        create("nehsnet", d_model=250)
