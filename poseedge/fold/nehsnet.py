"""NEHSNet folded: what reads the same normed tokens is one Linear; gates, hyperedge weights and all shifts are merged."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.fold.algebra import Dense, FoldedMLP, Whiten, after_norm, attend, attention_maps, constant, dense_after_norm, double
from poseedge.fold.registry import differentiable_fold
from poseedge.models.nehsnet import NUM_BONES, HypergraphLayer, NEHSNet
from poseedge.skeleton import NUM_JOINTS


class Maps:
    """The graphs' constant products in double, hyperedge weights included: each ``(tokens out, tokens in)``."""

    def __init__(self, network: NEHSNet) -> None:
        graphs = copy.deepcopy(network.graphs).double()
        self.node, self.edge = graphs.node, graphs.edge
        self.to_edge, self.from_edge = graphs.to_edge, graphs.from_edge
        self.to_hyper, self.from_hyper = graphs.hypergraph(double(network.hyper_log_weight))
        self.bones, self.centroids = graphs.bones, graphs.centroids()


def mixed_linear(norm: nn.LayerNorm, linear: nn.Linear, mixing: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``weight`` and ``shift`` with ``linear(mixing @ norm(x)) = mixing @ (whitened(x) @ weight) + shift (tokens, C)``."""
    weight, shift = after_norm(norm, double(linear.weight).T)
    return weight, mixing.sum(dim=1)[:, None] * shift + double(linear.bias)


class FoldedHypergraphLayer(nn.Module):
    """Edges and hyperedges first; then the nodes, which hear from both through one product over all 26 answers."""

    def __init__(self, layer: HypergraphLayer, maps: Maps) -> None:
        super().__init__()
        self.heads, self.width = layer.attn_node.heads, layer.attn_node.proj.in_features
        self.norm = Whiten(layer.norm_node)  # all norms of a layer have the same width and eps
        self.node_graph, self.edge_graph = constant(maps.node), constant(maps.edge)
        self.to_edge, self.to_hyper = constant(maps.to_edge), constant(maps.to_hyper)
        self.from_both = constant(torch.cat([maps.from_edge, maps.from_hyper], dim=1))  # (17, 26)

        graph, graph_shift = mixed_linear(layer.norm_node, layer.gcn_node, maps.node)
        edge, edge_shift = mixed_linear(layer.norm_node, layer.node_to_edge, maps.to_edge)
        hyper, hyper_shift = mixed_linear(layer.norm_node, layer.node_to_hyper, maps.to_hyper)
        qkv, bias, proj, node_bias = attention_maps(layer.norm_node, layer.attn_node)
        self.nodes_in = merged_linear(qkv, bias, graph, edge, hyper)
        self.node_shift = constant(graph_shift)

        graph, graph_shift = mixed_linear(layer.norm_edge, layer.gcn_edge, maps.edge)
        qkv, bias, edge_proj, edge_bias = attention_maps(layer.norm_edge, layer.attn_edge)
        self.edges_in = merged_linear(qkv, bias, graph)
        self.edge_shift = constant(graph_shift)
        self.edge_proj = Dense(edge_proj, edge_bias + edge_shift)

        qkv, bias, hyper_proj, hyper_bias = attention_maps(layer.norm_hyper, layer.attn_hyper)
        self.hyper_in = Dense(qkv, bias)
        self.hyper_proj = Dense(hyper_proj, hyper_bias + hyper_shift)

        edge, edge_shift = mixed_linear(layer.norm_edge_out, layer.edge_to_node, maps.from_edge)
        hyper, hyper_shift = mixed_linear(layer.norm_hyper_out, layer.hyper_to_node, maps.from_hyper)
        edge_gate, hyper_gate = double(layer.gate_edge).sigmoid(), double(layer.gate_hyper).sigmoid()
        self.edge_answer, self.hyper_answer = Dense(edge * edge_gate, None), Dense(hyper * hyper_gate, None)
        self.node_proj = Dense(proj, node_bias + edge_shift * edge_gate + hyper_shift * hyper_gate)
        self.mlp = FoldedMLP(layer.norm_mlp, layer.mlp)

    def forward(self, nodes: Tensor, edges: Tensor, hyper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        width = self.width
        node_qkv, neighbours, to_edges, to_hyper = self.nodes_in(self.norm(nodes)).split([3 * width, width, width, width], dim=-1)
        nodes = nodes + self.node_proj(attend(node_qkv, self.heads))
        nodes = nodes + F.gelu(self.node_graph @ neighbours + self.node_shift)

        edge_qkv, neighbours = self.edges_in(self.norm(edges)).split([3 * width, width], dim=-1)
        edges = edges + self.edge_proj(attend(edge_qkv, self.heads))
        edges = edges + F.gelu(self.edge_graph @ neighbours + self.edge_shift) + self.to_edge @ to_edges

        hyper = hyper + self.hyper_proj(attend(self.hyper_in(self.norm(hyper)), self.heads)) + self.to_hyper @ to_hyper

        answers = torch.cat([self.edge_answer(self.norm(edges)), self.hyper_answer(self.norm(hyper))], dim=-2)
        nodes = nodes + self.from_both @ answers
        return nodes + self.mlp(nodes), edges, hyper


def merged_linear(qkv: Tensor, bias: Tensor, *others: Tensor) -> Dense:
    """Return one Linear for attention's inputs and for maps ``(C, C)`` without bias."""
    width = sum(other.shape[1] for other in others)
    return Dense(torch.cat([qkv, *others], dim=1), torch.cat([bias, bias.new_zeros(width)]))


class FoldedNEHSNet(nn.Module):
    """``(1, F, 17, 2)``, or ``(B, F, 17, 2)`` with ``free_batch``, to ``(B, 1, 17, 3)``; only the centre frame is read."""

    def __init__(self, network: NEHSNet, free_batch: bool) -> None:
        super().__init__()
        self.lead = (-1,) if free_batch else ()
        self.frames = network.frames
        maps = Maps(network)
        self.bones, self.centroids = constant(maps.bones), constant(maps.centroids)
        self.embed_node = folded_embedding(network.embed_node, network.pos_node)
        self.embed_edge = folded_embedding(network.embed_edge, network.pos_edge)
        self.embed_hyper = folded_embedding(network.embed_hyper, network.pos_hyper)
        self.layers = nn.ModuleList(FoldedHypergraphLayer(layer, maps) for layer in network.layers)  # type: ignore[arg-type]
        self.norm = Whiten(network.norm)
        self.head = dense_after_norm(network.norm, network.head)

    def forward(self, keypoints: Tensor) -> Tensor:
        if self.frames > 1:
            keypoints = keypoints[:, self.frames // 2]
        joints = keypoints.reshape(*self.lead, NUM_JOINTS, 2)
        nodes = self.embed_node(joints)  # (..., 17, C)
        edges = self.embed_edge((self.bones @ joints).reshape(*self.lead, NUM_BONES, 4))  # (..., 16, C)
        hyper = self.embed_hyper(self.centroids @ joints)  # (..., 10, C)
        for layer in self.layers:
            nodes, edges, hyper = layer(nodes, edges, hyper)
        return self.head(self.norm(nodes)).reshape(-1, 1, NUM_JOINTS, 3)


def folded_embedding(linear: nn.Linear, positions: Tensor) -> Dense:
    """Return the Linear with the tokens' positions in its bias."""
    return Dense(double(linear.weight).T, double(linear.bias) + double(positions[0]))


@differentiable_fold.register
def _(network: NEHSNet, free_batch: bool = False) -> nn.Module:
    return FoldedNEHSNet(network, free_batch).eval()
