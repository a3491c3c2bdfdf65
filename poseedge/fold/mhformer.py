"""MHFormer folded, alone and pruned: the centre frame is followed as soon as the others are no longer looked at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.fold.algebra import Dense, FoldedMLP, Whiten, after_norm, batch_norm_affine, constant, double
from poseedge.fold.attention import Affine, cross_attention, folded_block, self_attention, token_rows
from poseedge.fold.pruning import center_slot, pruning_of, tokens_at
from poseedge.fold.registry import differentiable_fold
from poseedge.models.mhformer import CHI, SHR, HypothesisGenerator, MHFormer


class FoldedGenerator(nn.Module):
    """``x + E(norm(x))`` on rows that are coordinates, ``(B * 2J, F)``; the norm's shift is part of the positions."""

    def __init__(self, norm: nn.LayerNorm, generator: HypothesisGenerator) -> None:
        super().__init__()
        self.coordinates = generator.pos_embed.shape[1]
        self.shape, self.eps = tuple(norm.normalized_shape), norm.eps
        self.scale = constant(norm.weight)
        self.positions = constant(double(generator.pos_embed[0]) + double(norm.bias))
        self.blocks = nn.ModuleList(folded_block(block, self.coordinates) for block in generator.blocks)  # type: ignore[arg-type]
        self.norm = generator.norm

    def forward(self, x: Tensor) -> Tensor:
        t = F.layer_norm(x, self.shape, self.scale, eps=self.eps)
        t = (t.reshape(-1, self.coordinates, *self.shape) + self.positions).reshape(-1, *self.shape)
        for block in self.blocks:
            t = block(t)
        return x + self.norm(t)


class FoldedEmbedding(nn.Module):
    """Coordinates ``(..., F, 2J)`` to features ``(..., F, C)`` with their positions."""

    def __init__(self, embedding: nn.Module, positions: Tensor) -> None:
        super().__init__()
        self.positions = None
        if isinstance(embedding, nn.Conv1d):
            weight, bias = pointwise(embedding)
            self.linear = Dense(weight, bias + double(positions))
        else:  # of short windows, with a ReLU before the positions
            convolution, norm = embedding.get_submodule("0"), embedding.get_submodule("1")
            assert isinstance(convolution, nn.Conv1d)
            assert isinstance(norm, nn.BatchNorm1d)
            (weight, bias), (scale, shift) = pointwise(convolution), batch_norm_affine(norm)
            self.linear = Dense(weight * scale, bias * scale + shift)
            self.positions = constant(positions)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        return y if self.positions is None else y.relu() + self.positions


class FoldedSHR(nn.Module):
    """Each hypothesis attends to itself, then one MLP over all: three ``(B * F, C)`` to ``(B * F, 3C)``."""

    def __init__(self, block: SHR, tokens: int) -> None:
        super().__init__()
        self.norm = Whiten(block.norm1_1)
        pairs = ((block.norm1_1, block.attn_1), (block.norm1_2, block.attn_2), (block.norm1_3, block.attn_3))
        self.attention = nn.ModuleList(self_attention(norm, attention, tokens) for norm, attention in pairs)
        self.mlp = FoldedMLP(block.norm2, block.mlp)

    def forward(self, hypotheses: Sequence[Tensor]) -> Tensor:
        refined = []
        for x, attention in zip(hypotheses, self.attention, strict=True):
            z = self.norm(x)
            refined.append(x + attention(z, z, z))
        y = torch.cat(refined, dim=-1)
        return y + self.mlp(y)


class FoldedCHI(nn.Module):
    """Hypotheses look at one another; of the third, and from there on, the centre frame alone is wanted, ``(B, 3C)``.

    All norms have one epsilon, so each stream is whitened once for all that read it.
    """

    def __init__(self, block: CHI, tokens: int, center: int) -> None:
        super().__init__()
        self.center = center
        self.norm = Whiten(block.norm3_11)
        self.attn_1 = cross_attention((block.norm3_11, block.norm3_12, block.norm3_13), block.attn_1, tokens)
        self.attn_2 = cross_attention((block.norm3_21, block.norm3_22, block.norm3_23), block.attn_2, tokens)
        self.attn_3 = cross_attention((block.norm3_31, block.norm3_32, block.norm3_33), block.attn_3, tokens)
        self.mlp = FoldedMLP(block.norm2, block.mlp)

    def forward(self, hypotheses: Sequence[Tensor]) -> Tensor:
        x1, x2, x3 = hypotheses
        z1, z2, z3 = (self.norm(x) for x in hypotheses)
        x1 = x1 + self.attn_1(z2, z3, z1)
        z1 = self.norm(x1)
        x2 = x2 + self.attn_2(z1, z3, z2)
        x1, z1, x3 = (token_rows(x, self.center, self.attn_3) for x in (x1, z1, x3))
        x3 = x3 + self.attn_3(z1, self.norm(x2), z3, 1)
        y = torch.cat([x1, token_rows(x2, self.center, self.attn_3), x3], dim=-1)
        return y + self.mlp(y)


class FoldedMHFormer(nn.Module):
    """``(1, F, 17, 2)``, or ``(B, F, 17, 2)`` with ``free_batch``, to the centre pose ``(B, 1, 17, 3)``."""

    def __init__(self, network: MHFormer, free_batch: bool) -> None:
        super().__init__()
        self.lead = (-1,) if free_batch else ()
        self.frames = network.frames
        self.coordinates: int = network.Transformer_encoder_1.pos_embed.shape[1]
        self.level, self.prune = pruning_of(network, 1, free_batch)
        norms = (network.norm_1, network.norm_2, network.norm_3)
        generators = (network.Transformer_encoder_1, network.Transformer_encoder_2, network.Transformer_encoder_3)
        self.generators = nn.ModuleList(FoldedGenerator(*pair) for pair in zip(norms, generators, strict=True))
        mixer = network.Transformer_hypothesis
        embeddings = (network.embedding_1, network.embedding_2, network.embedding_3)
        positions = (mixer.pos_embed_1, mixer.pos_embed_2, mixer.pos_embed_3)
        self.embeddings = nn.ModuleList(FoldedEmbedding(e, p[0]) for e, p in zip(embeddings, positions, strict=True))
        self.shr = nn.ModuleList(FoldedSHR(b, tokens_at(network, i)) for i, b in enumerate(mixer.SHR_blocks))  # type: ignore[arg-type]
        self.chi = FoldedCHI(mixer.CHI_blocks[0], tokens_at(network, network.depth - 1), center_slot(network))  # type: ignore[arg-type]
        self.norm = Whiten(mixer.norm)
        self.head = Dense(*after_norm(mixer.norm, *regression(network.regression)))

    def forward(self, keypoints: Tensor) -> Tensor:
        hypotheses = [self.embed(x, embedding) for x, embedding in zip(self.generate(keypoints), self.embeddings, strict=True)]
        if self.level == 0:
            hypotheses = [*self.prune(torch.cat(hypotheses, dim=-1)).chunk(3, dim=-1)]
        for i, block in enumerate(self.shr, start=1):
            x = block(hypotheses)
            if i == self.level:
                x = self.prune(x)
            hypotheses = [*x.chunk(3, dim=-1)]
        return self.head(self.norm(self.chi(hypotheses))).reshape(-1, 1, self.coordinates // 2, 3)

    def generate(self, keypoints: Tensor) -> list[Tensor]:
        """Return the three hypotheses, each ``(B * 2J, F)`` (MHG)."""
        x = keypoints.reshape(*self.lead, self.frames, self.coordinates).transpose(-2, -1).reshape(-1, self.frames)
        hypotheses = []
        for generator in self.generators:
            x = generator(x)
            hypotheses.append(x)
        return hypotheses

    def embed(self, x: Tensor, embedding: nn.Module) -> Tensor:
        """Turn coordinates ``(B * 2J, F)`` into features of frames, ``(B * F, C)``."""
        y: Tensor = embedding(x.reshape(*self.lead, self.coordinates, self.frames).transpose(-2, -1))
        return y.reshape(-1, y.shape[-1])


def regression(head: nn.Sequential) -> Affine:
    """Return batch norm and pointwise convolution as one."""
    norm, convolution = head
    assert isinstance(norm, nn.BatchNorm1d)
    assert isinstance(convolution, nn.Conv1d)
    (scale, shift), (weight, bias) = batch_norm_affine(norm), pointwise(convolution)
    return scale[:, None] * weight, bias + shift @ weight


def pointwise(convolution: nn.Conv1d) -> Affine:
    """Return a convolution of kernel size 1 as a weight ``(in, out)`` and a bias."""
    assert convolution.bias is not None
    return double(convolution.weight[:, :, 0]).T, double(convolution.bias)


@differentiable_fold.register
def _(network: MHFormer, free_batch: bool = False) -> nn.Module:
    return FoldedMHFormer(network, free_batch).eval()
