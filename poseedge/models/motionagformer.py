"""MotionAGFormer (Mehraban et al., WACV 2024, arXiv 2310.16288): attention beside graph convolution, over joints, then frames.

The graph over frames follows from the input: a frame's neighbours are those whose features are most alike. All norms of a graph
are per node, so that the network is tied to its number of frames; nothing else tells it the order of time.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.errors import PoseedgeError
from poseedge.models.layers import MLP, SpatialAttention, TemporalAttention, move_to_end
from poseedge.models.network import LiftingNetwork, Shapes
from poseedge.models.pruning import in_float32
from poseedge.models.registry import register
from poseedge.skeleton import BONES, NUM_JOINTS

LAYER_SCALE = 1e-5
UNLISTED = ((0, 4), (8, 11), (8, 14))  # neighbours that the published code leaves out, in this direction alone


def joint_graph() -> Tensor:
    """Return the normalised adjacency of the skeleton, ``(17, 17)``: a bone both ways but for ``UNLISTED``, no self-loops."""
    graph = torch.zeros(NUM_JOINTS, NUM_JOINTS, dtype=torch.float64)
    for child, parent in BONES:
        graph[child, parent] = graph[parent, child] = 1
    for joint, neighbour in UNLISTED:
        graph[joint, neighbour] = 0
    degree = graph.sum(dim=1)
    return graph / (degree[:, None] * degree).sqrt()


def similar_frames(features: Tensor, count: int) -> Tensor:
    """Return which frames are neighbours, ``(..., T, T)`` of 0 and 1: those at least as alike as the ``count``-th most alike.

    ``features`` ``(..., T, C)``; the choice is made in float32, since frames of real motion differ by less than half precision.
    """
    with in_float32(features.device.type):
        similarity = features.float() @ features.float().transpose(-2, -1)
        least = similarity.topk(count, dim=-1).values[..., -1:]
        return (similarity >= least).to(features.dtype)


class ResidualGraphConv(nn.Module):
    """A node and its neighbours, each through a Linear of its own, onto the input: ``(N, nodes, C)``."""

    def __init__(self, width: int, nodes: int) -> None:
        super().__init__()
        self.U = nn.Linear(width, width)
        self.V = nn.Linear(width, width)
        self.batch_norm = nn.BatchNorm1d(nodes)
        for linear in (self.U, self.V):
            nn.init.normal_(linear.weight, std=math.sqrt(2 / width))

    def combine(self, x: Tensor, gathered: Tensor) -> Tensor:
        """Add what the neighbours gave."""
        return F.relu(x + self.batch_norm(gathered + self.U(x)))


class JointGraphConv(ResidualGraphConv):
    """Over the joints of each frame of ``(B, T, J, C)``, along bones."""

    graph: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width, NUM_JOINTS)
        self.register_buffer("graph", joint_graph().float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.flatten(0, 1)
        return self.combine(frames, self.graph @ self.V(frames)).reshape(x.shape)


class FrameGraphConv(ResidualGraphConv):
    """Over the frames of each joint of ``(B, T, J, C)``, between those that are alike."""

    def __init__(self, width: int, frames: int, neighbours: int) -> None:
        super().__init__(width, frames)
        self.neighbours = neighbours

    def forward(self, x: Tensor) -> Tensor:
        joints = x.transpose(1, 2)  # (B, J, T, C)
        tracks = joints.flatten(0, 1)
        graph = similar_frames(tracks, self.neighbours)
        scale = graph.sum(dim=-1, keepdim=True).rsqrt()
        gathered = scale * (graph @ (scale * self.V(tracks)))
        return self.combine(tracks, gathered).reshape(joints.shape).transpose(1, 2)


class MetaFormerBlock(nn.Module):
    """A mixer and an MLP on residual branches, each behind a norm and scaled by channel."""

    def __init__(self, mixer: nn.Module, width: int, hidden: int) -> None:
        super().__init__()
        self.layer_scale_1 = nn.Parameter(LAYER_SCALE * torch.ones(width))
        self.layer_scale_2 = nn.Parameter(LAYER_SCALE * torch.ones(width))
        self.norm1 = nn.LayerNorm(width)
        self.mixer = mixer
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer_scale_1 * self.mixer(self.norm1(x))
        return x + self.layer_scale_2 * self.mlp(self.norm2(x))


class AGFormerBlock(nn.Module):
    """Both streams, and their mean as weighed for each token."""

    def __init__(self, width: int, hidden: int, heads: int, qkv_bias: bool, frames: int, neighbours: int) -> None:
        super().__init__()
        attention = SpatialAttention(width, heads, qkv_bias), TemporalAttention(width, heads, qkv_bias)
        for mixer in attention:
            move_to_end(mixer, "qkv")
        self.att_spatial, self.att_temporal = (MetaFormerBlock(mixer, width, hidden) for mixer in attention)
        self.graph_spatial = MetaFormerBlock(JointGraphConv(width), width, hidden)
        self.graph_temporal = MetaFormerBlock(FrameGraphConv(width, frames, neighbours), width, hidden)
        self.fusion = nn.Linear(2 * width, 2)
        nn.init.zeros_(self.fusion.weight)
        nn.init.constant_(self.fusion.bias, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        attended = self.att_temporal(self.att_spatial(x))
        gathered = self.graph_temporal(self.graph_spatial(x))
        share = self.fusion(torch.cat([attended, gathered], dim=-1)).softmax(dim=-1)  # (B, T, J, 2)
        return share[..., :1] * attended + share[..., 1:] * gathered


@register("motionagformer")
class MotionAGFormer(LiftingNetwork):
    """``(B, n_frames, 17, 3)`` keypoints with confidence to ``(B, n_frames, 17, 3)``; the defaults are size XS.

    As published, poses are x, y and depth in the input's screen scale, not metres: what the scale is, training decides.
    """

    assumed = ("num_heads", "neighbour_num")

    def __init__(
        self,
        n_layers: int = 12,
        dim_in: int = 3,
        dim_feat: int = 64,
        dim_rep: int = 512,
        dim_out: int = 3,
        mlp_ratio: int = 4,
        num_heads: int = 8,
        qkv_bias: bool = False,
        num_joints: int = NUM_JOINTS,
        neighbour_num: int = 2,
        n_frames: int = 27,
    ) -> None:
        super().__init__()
        if num_joints != NUM_JOINTS:
            raise PoseedgeError(f"motionagformer is built on 17 joints, not {num_joints}", "its skeleton is fixed")
        if dim_feat % num_heads:
            raise PoseedgeError(f"dim_feat={dim_feat} is no multiple of num_heads={num_heads}", "the default is 64 and 8")
        if not 1 <= neighbour_num <= n_frames:
            raise PoseedgeError(f"neighbour_num={neighbour_num} must lie between 1 and n_frames={n_frames}")
        self.frames, self.in_channels = n_frames, dim_in
        hidden = mlp_ratio * dim_feat
        self.pos_embed = nn.Parameter(torch.zeros(1, num_joints, dim_feat))
        self.joints_embed = nn.Linear(dim_in, dim_feat)
        self.norm = nn.LayerNorm(dim_feat)
        self.layers = nn.ModuleList(
            AGFormerBlock(dim_feat, hidden, num_heads, qkv_bias, n_frames, neighbour_num) for _ in range(n_layers)
        )
        self.rep_logit = nn.Sequential(OrderedDict(fc=nn.Linear(dim_feat, dim_rep), act=nn.Tanh()))
        self.head = nn.Linear(dim_rep, dim_out)

    @property
    def output_frames(self) -> tuple[int, ...]:
        return tuple(range(self.frames))

    def forward(self, x: Tensor) -> Tensor:
        x = self.joints_embed(x) + self.pos_embed  # (B, T, J, C)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.rep_logit(self.norm(x)))

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Tell all but ``num_heads`` and ``neighbour_num``."""
        if not {"joints_embed.weight", "rep_logit.fc.weight", "layers.0.fusion.weight"} <= shapes.keys():
            return None
        width, inputs = shapes["joints_embed.weight"]
        return {
            "n_layers": sum(key.endswith(".fusion.weight") for key in shapes),
            "dim_in": inputs,
            "dim_feat": width,
            "dim_rep": shapes["rep_logit.fc.weight"][0],
            "dim_out": shapes["head.weight"][0],
            "mlp_ratio": shapes["layers.0.att_spatial.mlp.fc1.weight"][0] // width,
            "qkv_bias": "layers.0.att_spatial.mixer.qkv.bias" in shapes,
            "num_joints": shapes["pos_embed"][1],
            "n_frames": shapes["layers.0.graph_temporal.mixer.batch_norm.weight"][0],
        }
