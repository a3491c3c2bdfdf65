"""NEHSNet (Hu et al., 2025), a reconstruction: the authors have not released the network.

The title (a node-edge-hyperedge synergy network), the constructor's arguments and the parameter count (4.05 M) are
theirs; the wiring inside is ours, and cannot load their weights. Three streams, over joints, bones and groups of joints,
attend within themselves; bones and groups hear from the joints and answer through learned gates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.arrays import Float64Array
from poseedge.errors import PoseedgeError
from poseedge.models.layers import MLP, Attention
from poseedge.models.network import LiftingNetwork, Shapes
from poseedge.models.registry import register
from poseedge.skeleton import BONES, LEFT, NUM_JOINTS, RIGHT, bone_adjacency

NUM_BONES = len(BONES)
HYPEREDGES = (
    (0, 1, 2, 3),  # right leg
    (0, 4, 5, 6),  # left leg
    (0, 1, 4, 7, 8, 11, 14),  # torso
    (8, 9, 10),  # head
    (8, 11, 12, 13),  # left arm
    (8, 14, 15, 16),  # right arm
    (0, 1, 2, 3, 4, 5, 6),  # lower body
    (7, 8, 9, 10, 11, 12, 13, 14, 15, 16),  # upper body
    LEFT,
    RIGHT,
)
NUM_HYPER = len(HYPEREDGES)


def normalized(adjacency: Float64Array) -> Float64Array:
    """Return ``D^-1/2 (A + I) D^-1/2``."""
    linked = adjacency + np.eye(len(adjacency))
    scale = linked.sum(axis=1) ** -0.5
    return np.asarray(scale[:, None] * linked * scale)


def bone_ends() -> Float64Array:
    """Return 0/1 ``(16, 17)``: which joints a bone, child with parent, has at its ends."""
    ends = np.zeros((NUM_BONES, NUM_JOINTS))
    for bone, (child, parent) in enumerate(BONES):
        ends[bone, [child, parent]] = 1
    return ends


def bone_features() -> Float64Array:
    """Return ``(32, 17)``: rows ``2e`` and ``2e + 1`` take joints to the vector and the middle of bone ``e``."""
    vector = np.zeros((NUM_BONES, NUM_JOINTS))
    for bone, (child, parent) in enumerate(BONES):
        vector[bone, child], vector[bone, parent] = 1, -1
    return np.stack([vector, bone_ends() / 2], axis=1).reshape(2 * NUM_BONES, NUM_JOINTS)


def incidence() -> Float64Array:
    """Return 0/1 ``(17, 10)``: which joints each hyperedge holds."""
    return np.array([[float(joint in group) for group in HYPEREDGES] for joint in range(NUM_JOINTS)])


class Graphs(nn.Module):
    """The constant maps within and between the three token sets; all act from the left on ``(B, tokens, C)``."""

    node: Tensor
    edge: Tensor
    to_edge: Tensor
    from_edge: Tensor
    bones: Tensor
    incidence: Tensor

    def __init__(self) -> None:
        super().__init__()
        ends = bone_ends()
        line_graph = ((ends @ ends.T) > 0) & ~np.eye(NUM_BONES, dtype=bool)
        constants = {
            "node": normalized(bone_adjacency()),  # (17, 17)
            "edge": normalized(line_graph.astype(np.float64)),  # (16, 16)
            "to_edge": ends / 2,  # (16, 17)
            "from_edge": (ends / ends.sum(axis=0)).T,  # (17, 16)
            "bones": bone_features(),  # (32, 17)
            "incidence": incidence(),  # (17, 10)
        }
        for name, matrix in constants.items():
            self.register_buffer(name, torch.from_numpy(matrix).float(), persistent=False)

    def centroids(self) -> Tensor:
        """Return the mean over each hyperedge's joints, ``(10, 17)``."""
        return self.incidence.T / self.incidence.sum(dim=0)[:, None]

    def hypergraph(self, log_weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return joints to hyperedges ``(10, 17)`` and back ``(17, 10)``, at hyperedge weights ``exp(log_weight)``.

        Their product is the hypergraph operator of Feng et al. 2019 (HGNN), ``Dv^-1/2 H W De^-1 H^T Dv^-1/2``.
        """
        weight = log_weight.exp()
        scale = (self.incidence @ weight) ** -0.5
        return self.centroids() * scale, scale[:, None] * self.incidence * weight


class HypergraphLayer(nn.Module):
    """Edges and hyperedges first; then the nodes, which hear from both."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.gate_edge = nn.Parameter(torch.zeros(width))
        self.gate_hyper = nn.Parameter(torch.zeros(width))
        self.norm_node = nn.LayerNorm(width, eps=1e-6)
        self.norm_edge = nn.LayerNorm(width, eps=1e-6)
        self.norm_hyper = nn.LayerNorm(width, eps=1e-6)
        self.norm_edge_out = nn.LayerNorm(width, eps=1e-6)
        self.norm_hyper_out = nn.LayerNorm(width, eps=1e-6)
        self.norm_mlp = nn.LayerNorm(width, eps=1e-6)
        self.attn_node = Attention(width, heads, qkv_bias=True)
        self.attn_edge = Attention(width, heads, qkv_bias=True)
        self.attn_hyper = Attention(width, heads, qkv_bias=True)
        self.gcn_node = nn.Linear(width, width)
        self.gcn_edge = nn.Linear(width, width)
        self.node_to_edge = nn.Linear(width, width)
        self.node_to_hyper = nn.Linear(width, width)
        self.edge_to_node = nn.Linear(width, width)
        self.hyper_to_node = nn.Linear(width, width)
        self.mlp = MLP(width, hidden, dropout)
        self.drop = nn.Dropout(dropout)

    def forward(
        self, nodes: Tensor, edges: Tensor, hyper: Tensor, graphs: Graphs, hypergraph: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        drop, (to_hyper, from_hyper) = self.drop, hypergraph
        n, e, u = self.norm_node(nodes), self.norm_edge(edges), self.norm_hyper(hyper)

        edges = edges + drop(self.attn_edge(e)) + drop(F.gelu(self.gcn_edge(graphs.edge @ e)))
        edges = edges + drop(self.node_to_edge(graphs.to_edge @ n))  # (B, 16, C)

        hyper = hyper + drop(self.attn_hyper(u)) + drop(self.node_to_hyper(to_hyper @ n))  # (B, 10, C)

        from_edges = self.edge_to_node(graphs.from_edge @ self.norm_edge_out(edges))
        from_groups = self.hyper_to_node(from_hyper @ self.norm_hyper_out(hyper))
        nodes = nodes + drop(self.attn_node(n)) + drop(F.gelu(self.gcn_node(graphs.node @ n)))
        nodes = nodes + self.gate_edge.sigmoid() * drop(from_edges) + self.gate_hyper.sigmoid() * drop(from_groups)
        nodes = nodes + self.mlp(self.norm_mlp(nodes))  # (B, 17, C)
        return nodes, edges, hyper


@register("nehsnet")
class NEHSNet(LiftingNetwork):
    """``(B, frames, 17, 2)`` to ``(B, 1, 17, 3)``; of a longer window only the centre frame is read.

    Our reconstruction of an unpublished network: no claim of equality with the authors' is made.
    """

    assumed = ("n_heads",)

    def __init__(
        self,
        depth: int = 3,
        d_model: int = 252,
        n_heads: int = 6,
        dropout: float = 0.3,
        mlp_dim: int = 384,
        frames: int = 1,
    ) -> None:
        super().__init__()
        if d_model % n_heads:
            raise PoseedgeError(f"nehsnet needs a d_model that n_heads divides, not {d_model} with {n_heads} heads")
        self.frames = frames
        self.pos_node = nn.Parameter(0.02 * torch.randn(1, NUM_JOINTS, d_model))
        self.pos_edge = nn.Parameter(0.02 * torch.randn(1, NUM_BONES, d_model))
        self.pos_hyper = nn.Parameter(0.02 * torch.randn(1, NUM_HYPER, d_model))
        self.hyper_log_weight = nn.Parameter(torch.zeros(NUM_HYPER))
        self.graphs = Graphs()
        self.embed_node = nn.Linear(2, d_model)
        self.embed_edge = nn.Linear(4, d_model)
        self.embed_hyper = nn.Linear(2, d_model)
        self.layers = nn.ModuleList(HypergraphLayer(d_model, n_heads, mlp_dim, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(d_model, eps=1e-6)
        self.head = nn.Linear(d_model, 3)

    @property
    def output_frames(self) -> tuple[int, ...]:
        return (self.frames // 2,)

    def forward(self, x: Tensor) -> Tensor:
        joints = x[:, x.shape[1] // 2]  # (B, 17, 2)
        bones = (self.graphs.bones @ joints).reshape(-1, NUM_BONES, 4)  # vector, then middle
        nodes = self.embed_node(joints) + self.pos_node  # (B, 17, C)
        edges = self.embed_edge(bones) + self.pos_edge  # (B, 16, C)
        hyper = self.embed_hyper(self.graphs.centroids() @ joints) + self.pos_hyper  # (B, 10, C)
        hypergraph = self.graphs.hypergraph(self.hyper_log_weight)
        for layer in self.layers:
            nodes, edges, hyper = layer(nodes, edges, hyper, self.graphs, hypergraph)
        return self.head(self.norm(nodes)).unsqueeze(1)  # (B, 1, 17, 3)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Tell depth and widths; heads, dropout and frames leave no trace in the weights and take their defaults."""
        if not {"pos_node", "pos_edge", "pos_hyper", "layers.0.mlp.fc1.weight"} <= shapes.keys():
            return None
        return {
            "depth": sum(key.endswith(".mlp.fc1.weight") for key in shapes),
            "d_model": shapes["pos_node"][2],
            "mlp_dim": shapes["layers.0.mlp.fc1.weight"][0],
        }
