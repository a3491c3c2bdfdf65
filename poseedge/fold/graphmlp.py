"""GraphMLP folded: no einsum and no convolution; norms' affines, adjacency and biases merged."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.fold.algebra import Dense, Whiten, after_norm, batch_axes, constant, dense, dense_after_norm, double
from poseedge.fold.registry import differentiable_fold
from poseedge.models.graphmlp import GRAPHS, GraphConv, GraphMLP, GraphMLPBlock, NormedMLP
from poseedge.models.layers import MLP
from poseedge.skeleton import NUM_JOINTS


class FoldedDirectedConv(nn.Module):
    """The four graphs as two products, ``mixing @ (x @ weight)`` with ``mixing (17, 68)``; the bias is the caller's.

    Row ``4 * source + graph`` of the reshaped product is joint ``source`` through that graph's Linear.
    """

    def __init__(self, weight: Tensor, mixing: Tensor) -> None:
        super().__init__()
        self.dense = Dense(weight, None)
        self.mixing = constant(mixing)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.dense(x).reshape(*batch_axes(x), NUM_JOINTS * GRAPHS, x.shape[-1])
        return self.mixing @ rows


class FoldedJointMixing(nn.Module):
    """The stage that mixes joints; its norm is over joints, so it looks at channels as rows, ``(C, 17)``.

    The norm's affine belongs to a joint: in the graph branch its scale goes into the adjacency.
    """

    def __init__(self, block: GraphMLPBlock) -> None:
        super().__init__()
        norm, mlp = block.norm1, block.mlp_1
        self.norm = Whiten(norm)
        weight, bias, adjacency = graph_maps(block.gcn_1)
        shift = double(norm.bias)[:, None, None] * weight.sum(dim=0) + bias  # (source, graph, C)
        graph_bias = mix_by_graph(adjacency, shift)
        self.gcn = FoldedDirectedConv(weight.flatten(1), (adjacency * double(norm.weight)[:, None]).flatten(1))
        self.mlp: FoldedJointMLP | FoldedNormedMLP
        if isinstance(mlp, MLP):
            self.mlp = FoldedJointMLP(norm, mlp)
            graph_bias = graph_bias + double(mlp.fc2.bias)[:, None]
        else:
            assert isinstance(mlp, NormedMLP)
            self.mlp = FoldedNormedMLP(norm, mlp)
        self.bias = constant(graph_bias)

    def forward(self, x: Tensor) -> Tensor:
        tracks = self.norm(x.transpose(-2, -1))  # (..., C, 17)
        dense_branch = self.mlp(tracks).transpose(-2, -1)
        return x + dense_branch + (self.gcn(tracks.transpose(-2, -1)) + self.bias)


class FoldedJointMLP(nn.Module):
    """One frame's joint MLP after its norm, without the last bias."""

    def __init__(self, norm: nn.LayerNorm, mlp: MLP) -> None:
        super().__init__()
        self.fc1 = dense_after_norm(norm, mlp.fc1)
        self.fc2 = Dense(double(mlp.fc2.weight).T, None)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class FoldedNormedMLP(nn.Module):
    """A window's joint MLP after its norm; the norms inside keep their affine, which GELU and the residual follow."""

    def __init__(self, norm: nn.LayerNorm, mlp: NormedMLP) -> None:
        super().__init__()
        (fc1, norm1), (fc2, norm2) = mlp.fc1, mlp.fc2
        assert isinstance(fc1, nn.Linear)
        assert isinstance(fc2, nn.Linear)
        self.fc1, self.norm1 = dense_after_norm(norm, fc1), norm1
        self.fc2, self.norm2 = dense(fc2), norm2

    def forward(self, x: Tensor) -> Tensor:
        return self.norm2(self.fc2(F.gelu(self.norm1(self.fc1(x)))))


class FoldedChannelMixing(nn.Module):
    """The stage that mixes channels; the constants of both branches are one ``(17, C)``."""

    def __init__(self, block: GraphMLPBlock) -> None:
        super().__init__()
        norm, mlp = block.norm2, block.mlp_2
        self.norm = Whiten(norm)
        self.fc1 = dense_after_norm(norm, mlp.fc1)
        self.fc2 = Dense(double(mlp.fc2.weight).T, None)
        weight, bias, adjacency = graph_maps(block.gcn_2)
        scaled, shift = after_norm(norm, weight.flatten(1), bias.flatten())
        self.gcn = FoldedDirectedConv(scaled, adjacency.flatten(1))
        everywhere = shift.reshape(1, GRAPHS, -1).expand(NUM_JOINTS, -1, -1)
        self.bias = constant(mix_by_graph(adjacency, everywhere) + double(mlp.fc2.bias))

    def forward(self, x: Tensor) -> Tensor:
        joints = self.norm(x)
        return x + self.fc2(F.gelu(self.fc1(joints))) + (self.gcn(joints) + self.bias)


def graph_maps(conv: GraphConv) -> tuple[Tensor, Tensor, Tensor]:
    """Return the graphs' Linears ``(in, graph, out)`` and ``(graph, out)``, and adjacency ``(target, source, graph)``."""
    assert conv.conv.bias is not None
    channel = conv.conv.in_channels
    weight = double(conv.conv.weight).flatten(1).T.reshape(channel, GRAPHS, channel)
    return weight, double(conv.conv.bias).reshape(GRAPHS, channel), double(conv.adj).permute(2, 1, 0)


def mix_by_graph(adjacency: Tensor, features: Tensor) -> Tensor:
    """Mix ``(source, graph, C)`` by ``(target, source, graph)`` to ``(target, C)``."""
    return adjacency.flatten(1) @ features.flatten(0, 1)


class FoldedGraphMLP(nn.Module):
    """``(1, F, 17, 2)``, or ``(B, F, 17, 2)`` with ``free_batch``, to ``(B, 1, 17, 3)``.

    The embedding's columns are reordered to take each frame's x and y together, as the keypoints have them.
    """

    def __init__(self, network: GraphMLP, free_batch: bool) -> None:
        super().__init__()
        self.lead = (-1,) if free_batch else ()
        self.frames = network.frames
        embed = double(network.embedding.weight)
        by_frame = embed.reshape(-1, 2, self.frames).transpose(1, 2).flatten(1)
        self.embed = Dense(by_frame.T, double(network.embedding.bias))
        blocks = network.mlp_gcn.blocks
        self.joints = nn.ModuleList(FoldedJointMixing(block) for block in blocks)  # type: ignore[arg-type]
        self.channels = nn.ModuleList(FoldedChannelMixing(block) for block in blocks)  # type: ignore[arg-type]
        self.norm = Whiten(network.mlp_gcn.norm)
        self.head = dense_after_norm(network.mlp_gcn.norm, network.head)

    def forward(self, keypoints: Tensor) -> Tensor:
        if self.frames > 1:
            keypoints = keypoints.reshape(*self.lead, self.frames, NUM_JOINTS, 2).transpose(-3, -2)
        x = self.embed(keypoints.reshape(*self.lead, NUM_JOINTS, 2 * self.frames))  # (..., 17, C)
        for joints, channels in zip(self.joints, self.channels, strict=True):
            x = channels(joints(x))
        return self.head(self.norm(x)).reshape(-1, 1, NUM_JOINTS, 3)


@differentiable_fold.register
def _(network: GraphMLP, free_batch: bool = False) -> nn.Module:
    return FoldedGraphMLP(network, free_batch).eval()
