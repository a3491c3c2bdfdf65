"""GraphMLP (Li et al., Pattern Recognition 2024, arXiv 2206.06420): one frame or a window in, the centre frame out.

A block mixes joints, then channels; each mixing is the sum of a dense MLP (global) and a graph convolution (local).
A window enters as extra channels of the first linear layer, so the cost hardly depends on its length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.arrays import Float64Array, IndexArray
from poseedge.errors import CheckpointError, PoseedgeError
from poseedge.models.layers import MLP, DropPath
from poseedge.models.network import LiftingNetwork, Shapes
from poseedge.models.refine import RefineNetwork
from poseedge.models.registry import register
from poseedge.skeleton import LEFT, NUM_JOINTS, RIGHT, bone_adjacency

GRAPHS = 4
DROPOUT = 0.1
DROP_PATH = 0.2
CENTRE = 7  # the spine, from which the graph's inward and outward directions are told
# HTNet's and the Strided Transformer's refine modules are 1024 wide, which tells their files apart.
OTHER_REFINE_HIDDEN = 1024


def distance_to_centre() -> IndexArray:
    """Return the number of bones ``(17,)`` between each joint and the spine."""
    reach = bone_adjacency() + np.eye(NUM_JOINTS)
    steps = [np.linalg.matrix_power(reach, power)[CENTRE] > 0 for power in range(NUM_JOINTS)]
    return np.argmax(steps, axis=0)


def directed_adjacency() -> Float64Array:
    """Return ``(4, 17, 17)``, source joint by target joint: self, towards the spine, away from it, left-right pairs.

    Together the four are bones, pairs and self loops, normalised so that every target's column sums to one.
    """
    pairs = np.zeros((NUM_JOINTS, NUM_JOINTS))
    pairs[LEFT, RIGHT] = pairs[RIGHT, LEFT] = 1
    bones, loops, distance = bone_adjacency(), np.eye(NUM_JOINTS), distance_to_centre()
    source, target = distance[:, None], distance[None, :]
    parts = np.stack([loops, bones * (source > target), bones * (source < target), pairs])
    return np.asarray(parts / parts.sum(axis=(0, 1)))


class GraphConv(nn.Module):
    """Four fixed graphs, each with its own linear map, summed; ``(B, 17, C)`` to ``(B, 17, C)``."""

    def __init__(self, channel: int, adjacency: nn.Parameter) -> None:
        super().__init__()
        self.adj = adjacency
        self.conv = nn.Conv2d(channel, GRAPHS * channel, kernel_size=1)  # pointwise: a linear layer in effect

    def forward(self, x: Tensor) -> Tensor:
        batch, joints, channel = x.shape
        mixed = F.linear(x, self.conv.weight.flatten(1), self.conv.bias)  # (B, 17, 4C), graph by graph
        rows = mixed.reshape(batch, joints * GRAPHS, channel)  # row = 4 * source + graph
        return self.adj.permute(2, 1, 0).flatten(1) @ rows


class NormedMLP(nn.Module):
    """The joint MLP of windows: as ``MLP``, with a norm behind each linear layer."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Sequential(nn.Linear(width, hidden), nn.LayerNorm(hidden))
        self.fc2 = nn.Sequential(nn.Linear(hidden, width), nn.LayerNorm(width))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class GraphMLPBlock(nn.Module):
    """Joint mixing, then channel mixing."""

    def __init__(
        self, channel: int, hidden: int, token_hidden: int, window: bool, adjacency: nn.Parameter, drop_path: float
    ) -> None:
        super().__init__()
        self.adj = adjacency  # unused here, but published under this key too
        self.norm1 = nn.LayerNorm(NUM_JOINTS, eps=1e-6)
        self.gcn_1 = GraphConv(channel, adjacency)
        self.gcn_2 = GraphConv(channel, adjacency)
        self.mlp_1 = (NormedMLP if window else MLP)(NUM_JOINTS, token_hidden, DROPOUT)
        self.norm2 = nn.LayerNorm(channel, eps=1e-6)
        self.mlp_2 = MLP(channel, hidden, DROPOUT)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        tracks = self.norm1(x.transpose(1, 2))  # (B, C, 17)
        x = x + self.drop_path(self.mlp_1(tracks).transpose(1, 2) + self.gcn_1(tracks.transpose(1, 2)))
        joints = self.norm2(x)  # (B, 17, C)
        return x + self.drop_path(self.mlp_2(joints) + self.gcn_2(joints))


class Mixer(nn.Module):
    """Blocks and the closing norm."""

    def __init__(self, blocks: list[GraphMLPBlock], channel: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(channel, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


@register("graphmlp")
class GraphMLP(LiftingNetwork):
    """``(B, frames, 17, 2)`` to ``(B, 1, 17, 3)``. The adjacency is one tensor that the file holds under many keys."""

    def __init__(
        self,
        layers: int = 3,
        channel: int = 512,
        d_hid: int = 1024,
        token_dim: int = 256,
        frames: int = 1,
        n_joints: int = NUM_JOINTS,
    ) -> None:
        super().__init__()
        if n_joints != NUM_JOINTS:
            raise PoseedgeError(f"graphmlp is built on 17 joints, not {n_joints}", "its graph is fixed")
        self.frames = frames
        self.A = nn.Parameter(torch.from_numpy(directed_adjacency()).float(), requires_grad=False)
        self.embedding = nn.Linear(2 * frames, channel)
        blocks = [
            GraphMLPBlock(channel, d_hid, token_dim, frames > 1, self.A, rate)
            for rate in np.linspace(0, DROP_PATH, layers).tolist()
        ]
        self.mlp_gcn = Mixer(blocks, channel)
        self.head = nn.Linear(channel, 3)

    @property
    def output_frames(self) -> tuple[int, ...]:
        return ((self.frames - 1) // 2,)

    def forward(self, x: Tensor) -> Tensor:
        tracks = x.permute(0, 2, 3, 1).flatten(2)  # (B, 17, 2F): all of x, then all of y
        joints = self.mlp_gcn(self.embedding(tracks))  # (B, 17, C)
        return self.head(joints).unsqueeze(1)  # (B, 1, 17, 3)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load as usual; raises ``CheckpointError`` when the copies of the adjacency differ."""
        copies = {key: value for key, value in state_dict.items() if key == "A" or key.endswith(".adj")}
        for key, copy in copies.items():
            if not torch.equal(copy, next(iter(copies.values()))):
                raise CheckpointError(
                    f"the copies of GraphMLP's adjacency differ: {key} is not {next(iter(copies))}",
                    "all of them are one tensor in a trained network; get the file again",
                )
        return super().load_state_dict(state_dict, strict, assign)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        if not {"A", "embedding.weight", "mlp_gcn.blocks.0.gcn_1.conv.weight"} <= shapes.keys():
            return None
        channel, inputs = shapes["embedding.weight"]
        joint_mlp = "mlp_gcn.blocks.0.mlp_1.fc1"
        return {
            "layers": sum(key.endswith(".norm2.weight") for key in shapes),
            "channel": channel,
            "d_hid": shapes["mlp_gcn.blocks.0.mlp_2.fc1.weight"][0],
            "token_dim": shapes[f"{joint_mlp}.weight" if f"{joint_mlp}.weight" in shapes else f"{joint_mlp}.0.weight"][0],
            "frames": inputs // 2,
            "n_joints": shapes["A"][1],
        }


@register("graphmlp_refine")
class GraphMLPRefine(RefineNetwork):
    """GraphMLP's refine module."""

    def __init__(self, n_joints: int = NUM_JOINTS, fc_unit: int = 1536) -> None:
        super().__init__(n_joints, fc_unit)

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        sizes = cls.sizes(shapes)
        if sizes is None or sizes.hidden == OTHER_REFINE_HIDDEN:
            return None
        return {"n_joints": sizes.n_joints, "fc_unit": sizes.hidden}
