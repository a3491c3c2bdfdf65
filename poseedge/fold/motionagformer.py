"""MotionAGFormer folded: one row per frame and joint; graphs over joints as one product, those over frames without a TopK."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from poseedge.fold.algebra import Dense, FoldedMLP, Whiten, after_norm, batch_norm_affine, constant, dense, double
from poseedge.fold.attention import Affine, RowAttention, affine
from poseedge.fold.registry import differentiable_fold
from poseedge.models.layers import Attention
from poseedge.models.motionagformer import (
    AGFormerBlock,
    FrameGraphConv,
    JointGraphConv,
    MetaFormerBlock,
    MotionAGFormer,
    joint_graph,
)

FAR = 1e38  # puts any similarity below all others


def by_channel(weights: Affine, scale: Tensor) -> Affine:
    """Return an affine map whose results are scaled."""
    return weights[0] * double(scale), weights[1] * double(scale)


def scaled_mlp(block: MetaFormerBlock) -> FoldedMLP:
    """Fold a block's second norm, its MLP and the scale behind it."""
    mlp = FoldedMLP(block.norm2, block.mlp)
    mlp.fc2 = Dense(*by_channel(affine(block.mlp.fc2), block.layer_scale_2))
    return mlp


class FoldedAttentionBlock(nn.Module):
    """Attention and MLP on rows; both scales are part of the layers before them."""

    def __init__(self, block: MetaFormerBlock, tokens: int, lanes: int = 1) -> None:
        super().__init__()
        mixer = block.mixer
        assert isinstance(mixer, Attention)
        weights = double(mixer.qkv.weight).T.chunk(3, dim=1)
        biases = [None] * 3 if mixer.qkv.bias is None else [*double(mixer.qkv.bias).chunk(3)]
        query, key, value = (after_norm(block.norm1, w, b) for w, b in zip(weights, biases, strict=True))
        proj = by_channel(affine(mixer.proj), block.layer_scale_1)
        self.norm = Whiten(block.norm1)
        self.attn = RowAttention(query, key, value, proj, mixer.heads, tokens, lanes)
        self.mlp = scaled_mlp(block)

    def forward(self, x: Tensor) -> Tensor:
        z = self.norm(x)
        x = x + self.attn(z, z, z)
        return x + self.mlp(x)


class FoldedGraphBlock(nn.Module, ABC):
    """A graph convolution and an MLP on rows. The norm stays whole, for the convolution adds to what it gives."""

    def __init__(self, block: MetaFormerBlock) -> None:
        super().__init__()
        self.norm, self.scale, self.mlp = block.norm1, constant(block.layer_scale_1), scaled_mlp(block)

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm(x)
        x = x + torch.relu(n + self.gathered(n)) * self.scale
        return x + self.mlp(x)

    @abstractmethod
    def gathered(self, n: Tensor) -> Tensor:
        """Return what neighbours and the node itself give, through the batch norm."""


class JointGraphBlock(FoldedGraphBlock):
    """Over joints: neighbours, batch norm and biases are one constant product and one constant."""

    def __init__(self, block: MetaFormerBlock) -> None:
        super().__init__(block)
        mixer = block.mixer
        assert isinstance(mixer, JointGraphConv)
        (of_others, others_bias), (own, own_bias) = affine(mixer.V), affine(mixer.U)
        graph, (scale, shift) = joint_graph().to(own.device), node_affine(mixer.batch_norm)
        self.joints, self.width = len(graph), own.shape[0]
        self.dense = Dense(torch.cat([of_others, own], dim=1), None)
        mixing = torch.stack([graph, torch.eye(self.joints, dtype=graph.dtype, device=graph.device)], dim=-1)
        self.mixing = constant(scale * mixing.flatten(1))  # (J, 2J): column 2j a neighbour's share, 2j + 1 the node's own
        self.bias = constant(scale * (graph.sum(dim=1, keepdim=True) * others_bias + own_bias) + shift)

    def gathered(self, n: Tensor) -> Tensor:
        pairs = self.dense(n).reshape(-1, 2 * self.joints, self.width)
        return (self.mixing @ pairs + self.bias).reshape(-1, self.width)


class FrameGraphBlock(FoldedGraphBlock):
    """Over frames, whose graph follows from the features."""

    def __init__(self, block: MetaFormerBlock, joints: int) -> None:
        super().__init__(block)
        mixer = block.mixer
        assert isinstance(mixer, FrameGraphConv)
        self.own, self.of_others, self.neighbours = dense(mixer.U), dense(mixer.V), mixer.neighbours
        scale, shift = node_affine(mixer.batch_norm)
        self.frames, self.joints, self.width = len(scale), joints, mixer.U.in_features
        self.node_scale, self.node_shift = constant(scale), constant(shift)

    def gathered(self, n: Tensor) -> Tensor:
        tracks = self.split(n)  # (B, J, T, C)
        graph = similar_frames(tracks @ tracks.transpose(-2, -1), self.neighbours)
        scale = graph.sum(dim=-1, keepdim=True).rsqrt()
        others = scale * (graph @ (scale * self.split(self.of_others(n))))
        rows = others.transpose(1, 2).reshape(-1, self.width) + self.own(n)
        rows = rows.reshape(-1, self.frames, self.joints * self.width) * self.node_scale + self.node_shift
        return rows.reshape(-1, self.width)

    def split(self, rows: Tensor) -> Tensor:
        """Return ``(B, joints, frames, C)``."""
        return rows.reshape(-1, self.frames, self.joints, self.width).transpose(1, 2)


def similar_frames(similarity: Tensor, count: int) -> Tensor:
    """Return 1 where a row's value is at least its ``count``-th largest, counted with multiplicity; else 0.

    Without TopK, which is slow in TensorRT: the largest is found and hidden ``count`` times, all its equals with it.
    """
    hidden, found = similarity, similarity.new_zeros(())
    largest = least = similarity.amax(dim=-1, keepdim=True)
    for _ in range(1, count):
        equal = (hidden == largest).to(similarity.dtype)
        found = found + equal.sum(dim=-1, keepdim=True)
        hidden = hidden - FAR * equal
        largest = hidden.amax(dim=-1, keepdim=True)
        least = torch.where(found >= count, least, largest)
    return (similarity >= least).to(similarity.dtype)


def node_affine(norm: nn.BatchNorm1d) -> Affine:
    """Return scale and shift of each node, ``(nodes, 1)``, that a batch norm is in evaluation."""
    scale, shift = batch_norm_affine(norm)
    return scale[:, None], shift[:, None]


class FoldedAGFormerBlock(nn.Module):
    """Both streams and their fusion; the two-way softmax is a sigmoid of the difference."""

    def __init__(self, layer: AGFormerBlock, frames: int, joints: int) -> None:
        super().__init__()
        self.att_spatial = FoldedAttentionBlock(layer.att_spatial, joints)
        self.att_temporal = FoldedAttentionBlock(layer.att_temporal, frames, joints)
        self.graph_spatial, self.graph_temporal = (
            JointGraphBlock(layer.graph_spatial),
            FrameGraphBlock(layer.graph_temporal, joints),
        )
        weight, bias = affine(layer.fusion)  # (2C, 2)
        by_attention, by_graph = (weight[:, :1] - weight[:, 1:]).chunk(2)
        self.gate_attention, self.gate_graph = Dense(by_attention, None), Dense(by_graph, bias[:1] - bias[1:])

    def forward(self, x: Tensor) -> Tensor:
        attended, gathered = self.att_temporal(self.att_spatial(x)), self.graph_temporal(self.graph_spatial(x))
        share = (self.gate_attention(attended) + self.gate_graph(gathered)).sigmoid()
        return gathered + share * (attended - gathered)


class FoldedMotionAGFormer(nn.Module):
    """``(B, n_frames, 17, 3)`` to ``(B, n_frames, 17, 3)``."""

    def __init__(self, network: MotionAGFormer) -> None:
        super().__init__()
        self.frames, self.joints = network.frames, network.pos_embed.shape[1]
        weight, bias = affine(network.joints_embed)
        self.embed = Dense(weight, bias + double(network.pos_embed[0]))  # (J, C)
        self.layers = nn.ModuleList(FoldedAGFormerBlock(layer, self.frames, self.joints) for layer in network.layers)  # type: ignore[arg-type]
        self.norm = Whiten(network.norm)
        representation = network.rep_logit.get_submodule("fc")
        assert isinstance(representation, nn.Linear)
        self.fc = Dense(*after_norm(network.norm, *affine(representation)))
        self.head = dense(network.head)

    def forward(self, keypoints: Tensor) -> Tensor:
        x = self.embed(keypoints.reshape(-1, self.joints, keypoints.shape[-1]))
        x = x.reshape(-1, x.shape[-1])
        for layer in self.layers:
            x = layer(x)
        return self.head(self.fc(self.norm(x)).tanh()).reshape(-1, self.frames, self.joints, 3)


@differentiable_fold.register
def _(network: MotionAGFormer, free_batch: bool = False) -> nn.Module:
    return FoldedMotionAGFormer(network).eval()
