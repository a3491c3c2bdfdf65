"""Folded modules equal the plain ones; each piece is tested against the slow, obvious form that stands in its test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.errors import PoseedgeError
from poseedge.fold import fold, has_fold
from poseedge.fold.algebra import Dense, FoldedAttention, FoldedGraphConv, FoldedMLP, Whiten, dense, dense_after_norm
from poseedge.fold.nanohtnet import (
    FoldedGBI,
    FoldedIPC,
    FoldedLGC,
    FoldedSpatialBlock,
    FoldedTemporalBlock,
    merged_convolutions,
    merged_heads,
    placement_matrix,
)
from poseedge.graph.trace import trace
from poseedge.models.layers import MLP, Attention, ModulatedGraphConv
from poseedge.models.nanohtnet import GBI, IPC, LGC, NanoHTNet, SpatialBlock, TemporalBlock, spatial_adjacency
from poseedge.models.network import LiftingNetwork
from tests.support import golden

WIDTH, HIDDEN, JOINTS = 48, 64, 17
NETWORKS = ("nanohtnet", "nanohtnet-small")
Module = TypeVar("Module", bound=nn.Module)
pytestmark = pytest.mark.usefixtures("no_gradients")


@pytest.fixture(name="no_gradients")
def fixture_no_gradients() -> object:
    with torch.inference_mode():
        yield


def filled(module: Module) -> Module:
    """Return ``module`` in evaluation mode with every parameter away from its neutral value."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(1 + 0.2 * noise if bool((parameter == 1).all()) else 0.2 * noise)
    return module.eval()


def features(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def assert_equal(folded: Tensor, plain: Tensor) -> None:
    torch.testing.assert_close(folded, plain, rtol=1e-4, atol=2e-5)


def lifting(name: str) -> NanoHTNet:
    network = golden.network(name)
    assert isinstance(network, NanoHTNet)
    return network


def windows(name: str) -> Tensor:
    return torch.from_numpy(golden.arrays(name)["input"])


@pytest.mark.parametrize("name", NETWORKS)
def test_folded_network_equals_the_plain_one_on_a_single_window(name: str) -> None:
    network, folded = lifting(name), fold(lifting(name))
    for window in windows(name):
        np.testing.assert_allclose(folded(window[None]), network.lift(window[None]), atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_network_folded_for_a_free_batch_equals_the_plain_one_on_many_windows(name: str) -> None:
    found = fold(lifting(name), free_batch=True)(windows(name))
    np.testing.assert_allclose(found, lifting(name).lift(windows(name)), atol=1e-4)


def test_folding_leaves_the_network_as_it_was() -> None:
    network = lifting("nanohtnet-small")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fold(network)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_folded_graph_has_no_operator_that_engines_dislike() -> None:
    graph = trace(fold(lifting("nanohtnet-small")), 27, 2, opset=17, free_batch=False).proto.graph
    operators = {node.op_type for node in graph.node}
    assert not operators & {"Conv", "DFT", "Einsum", "ScatterND", "ScatterElements", "GatherND", "Shape", "Where", "Expand"}


def test_pretraining_head_is_refused() -> None:
    with pytest.raises(PoseedgeError, match="pre-training head gives codes, not poses") as caught:
        fold(golden.network("nanohtnet-pretrain"))
    assert caught.value.hint == "export a fine-tuned checkpoint"


def test_network_without_a_folded_form_is_refused_by_name() -> None:
    with pytest.raises(PoseedgeError, match="Linear has no folded form") as caught:
        fold(nn.Linear(2, 2))
    assert "docs/add_a_network.md" in caught.value.hint


class Unfolded(LiftingNetwork):
    """A lifting network of which nobody wrote a folded form."""

    frames, output_frames = 1, (0,)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.layer(x)

    def lift(self, x: Tensor) -> Tensor:
        return self.layer(x)


def test_lifting_network_without_a_folded_form_is_exported_as_it_is() -> None:
    network, windows = Unfolded(), torch.randn(2, 1, 17, 2)
    assert torch.equal(fold(network)(windows), network.lift(windows))
    assert not has_fold(network)
    assert has_fold(lifting("nanohtnet-small"))


def test_dense_is_a_linear_with_its_weight_the_other_way_round() -> None:
    linear, x = filled(nn.Linear(WIDTH, HIDDEN)), features(5, WIDTH)
    assert_equal(dense(linear)(x), linear(x))
    assert dense(linear).weight.shape == (WIDTH, HIDDEN)


def test_dense_takes_a_bias_for_each_row() -> None:
    weight, bias, x = features(WIDTH, 6), features(5, 6), features(5, WIDTH)
    assert_equal(Dense(weight, bias)(x), torch.stack([row @ weight + shift for row, shift in zip(x, bias, strict=True)]))


def test_affine_part_of_a_norm_belongs_to_the_linear_behind_it() -> None:
    norm, linear, x = filled(nn.LayerNorm(WIDTH, eps=1e-6)), filled(nn.Linear(WIDTH, HIDDEN)), features(5, WIDTH)
    assert_equal(dense_after_norm(norm, linear)(Whiten(norm)(x)), linear(norm(x)))


def test_folded_mlp_equals_norm_linear_gelu_linear() -> None:
    norm, mlp, x = filled(nn.LayerNorm(WIDTH)), filled(MLP(WIDTH, HIDDEN, dropout=0.5)), features(JOINTS, WIDTH)
    assert_equal(FoldedMLP(norm, mlp)(x), mlp.fc2(F.gelu(mlp.fc1(norm(x)))))


def obvious_attention(norm: nn.LayerNorm, attention: Attention, x: Tensor) -> Tensor:
    """Return the attention of ``x (N, C)``, head by head and query by query, with all biases and the scale."""
    q, k, v = attention.qkv(norm(x)).chunk(3, dim=-1)
    width = x.shape[-1] // attention.heads
    mixed = torch.zeros_like(x)
    for head in range(attention.heads):
        own = slice(head * width, (head + 1) * width)
        for token, query in enumerate(q[:, own]):
            logits = torch.stack([(query * key).sum() / width**0.5 for key in k[:, own]])
            mixed[token, own] = (logits.softmax(0)[:, None] * v[:, own]).sum(0)
    return attention.proj(mixed)


@pytest.mark.parametrize("qkv_bias", [False, True])
def test_folded_attention_equals_the_plain_one(qkv_bias: bool) -> None:
    norm, attention = filled(nn.LayerNorm(WIDTH)), filled(Attention(WIDTH, heads=8, qkv_bias=qkv_bias, dropout=0.5))
    x = features(JOINTS, WIDTH)
    assert_equal(FoldedAttention(norm, attention)(x), obvious_attention(norm, attention, x))


def obvious_graph_convolution(conv: ModulatedGraphConv, x: Tensor) -> Tensor:
    """Return ``sum over m of S[n, m] M[m] * (x[m] @ W)`` plus bias, ``W[0]`` for a node itself and ``W[1]`` for others."""
    total = conv.A + conv.adj2
    symmetric = (total + total.T) / 2
    rows = []
    for node in range(len(x)):
        sources = [symmetric[node, m] * conv.M[m] * (x[m] @ conv.W[int(m != node)]) for m in range(len(x))]
        rows.append(torch.stack(sources).sum(0) + conv.bias)
    return torch.stack(rows)


def test_folded_graph_convolution_equals_the_plain_one() -> None:
    conv, x = filled(ModulatedGraphConv(WIDTH, HIDDEN, spatial_adjacency())), features(JOINTS, WIDTH)
    assert_equal(FoldedGraphConv(conv)(x), obvious_graph_convolution(conv, x))


PIECES: dict[str, tuple[Callable[[], nn.Module], Callable[..., nn.Module], int]] = {
    "mlp": (lambda: MLP(WIDTH, HIDDEN), lambda mlp: FoldedMLP(filled(nn.LayerNorm(WIDTH)), mlp), 1),
    "LGC": (lambda: LGC(WIDTH, spatial_adjacency(), 0.5), FoldedLGC, 1),
    "IPC": (lambda: IPC(WIDTH, HIDDEN, 0.5, 0.5), FoldedIPC, 2),
    "GBI": (lambda: GBI(WIDTH, 0.5), FoldedGBI, 2),
    "spatial block": (lambda: SpatialBlock(WIDTH, HIDDEN, spatial_adjacency(), 0.5, 0.5), FoldedSpatialBlock, 1),
    "temporal block": (lambda: TemporalBlock(WIDTH, HIDDEN, spatial_adjacency(), 0.5), FoldedTemporalBlock, 1),
}


@pytest.mark.parametrize("name", PIECES)
def test_folded_piece_gives_the_same_with_and_without_a_batch_axis(name: str) -> None:
    make, folding, inputs = PIECES[name]
    folded = folding(filled(make()))
    tensors = [features(3, JOINTS, WIDTH) + number for number in range(inputs)]
    single = [folded(*(tensor[i] for tensor in tensors)) for i in range(3)]
    assert_equal(folded(*tensors), torch.stack(single))


def test_folded_joint_level_equals_the_plain_one() -> None:
    lgc, x = filled(LGC(WIDTH, spatial_adjacency(), 0.5)), features(JOINTS, WIDTH)
    hidden = F.gelu(obvious_graph_convolution(lgc.gcn1, lgc.norm_gcn1(x)))
    assert_equal(FoldedLGC(lgc)(x), x + lgc.norm_gcn2(obvious_graph_convolution(lgc.gcn2, hidden)))


def obvious_limb_level(ipc: IPC, joints: Tensor, limbs: Tensor) -> Tensor:
    """Return IPC limb by limb: knee and ankle (elbow, wrist) take the vector of three, ankle (wrist) that of two joints."""
    x = joints + limbs
    three, two = ipc.norm_conv1(x), ipc.norm_conv2(x)
    out_three, out_two = three.clone(), two.clone()
    for first in (1, 4, 11, 14):
        p = F.gelu(ipc.conv1(three[first : first + 3].T[None])[0, :, 0])
        out_three[first + 1] = out_three[first + 2] = p + ipc.mlp_down_1(ipc.norm_conv1_mlp(p))
        p = F.gelu(ipc.conv2(two[first + 1 : first + 3].T[None])[0, :, 0])
        out_two[first + 2] = p + ipc.mlp_down_2(ipc.norm_conv2_mlp(p))
    return x + out_three + out_two


def test_folded_limb_level_equals_the_plain_one() -> None:
    ipc, joints, limbs = filled(IPC(WIDTH, HIDDEN, 0.5, 0.5)), features(JOINTS, WIDTH), features(JOINTS, WIDTH) + 1
    assert_equal(FoldedIPC(ipc)(joints, limbs), obvious_limb_level(ipc, joints, limbs))


def test_merged_convolution_gives_both_convolutions_of_a_limb() -> None:
    ipc, limb = filled(IPC(WIDTH, HIDDEN, 0.5, 0.5)), features(3, WIDTH)
    three = ipc.conv1(ipc.norm_conv1(limb).T[None])[0, :, 0]
    two = ipc.conv2(ipc.norm_conv2(limb)[1:].T[None])[0, :, 0]
    assert_equal(merged_convolutions(ipc)(Whiten(ipc.norm_conv1)(limb).reshape(-1)), torch.cat([three, two]))


def test_placement_adds_each_limb_vector_to_the_joints_that_it_replaces() -> None:
    limbs_of_three = {(row, 2 * limb) for limb, first in enumerate((1, 4, 11, 14)) for row in (first + 1, first + 2)}
    limbs_of_two = {(first + 2, 2 * limb + 1) for limb, first in enumerate((1, 4, 11, 14))}
    found = {tuple(entry) for entry in placement_matrix().nonzero().tolist()}
    assert found == limbs_of_three | limbs_of_two


def test_folded_body_level_equals_the_plain_one() -> None:
    gbi, context, x = filled(GBI(WIDTH, 0.5)), features(JOINTS, WIDTH), features(JOINTS, WIDTH) + 1
    total = x + context
    assert_equal(FoldedGBI(gbi)(context, x), total + obvious_attention(gbi.norm_attn, gbi.attn, total))


def test_folded_temporal_block_equals_the_plain_one() -> None:
    block, x = filled(TemporalBlock(WIDTH, HIDDEN, spatial_adjacency(), 0.5)), features(JOINTS, WIDTH)
    assert_equal(FoldedTemporalBlock(block)(x), block(x[None])[0])


def test_folded_spatial_block_equals_the_plain_one() -> None:
    block, x = filled(SpatialBlock(WIDTH, HIDDEN, spatial_adjacency(), 0.5, 0.5)), features(JOINTS, WIDTH)
    assert_equal(FoldedSpatialBlock(block)(x), block(x[None])[0])


def test_merged_heads_add_up_to_the_regression_of_both_streams() -> None:
    network = lifting("nanohtnet-small")
    slots, hid, width = network.keep_frames, network.hid, network.fcn_spa.in_features
    by_joint, by_slot = features(JOINTS, width), features(slots, width) + 1
    spatial, temporal = network.Transformer.Temporal_norm, network.tem_Transformer.Temporal_norm
    head_s, head_t = merged_heads(network)
    found = head_s(Whiten(spatial)(by_joint)).reshape(JOINTS, slots, 3).transpose(0, 1)
    found = found + head_t(Whiten(temporal)(by_slot)).reshape(slots, JOINTS, 3)
    ours = network.fcn_spa(spatial(by_joint)).reshape(JOINTS, slots, hid)
    theirs = network.fcn_tem(temporal(by_slot)).reshape(slots, JOINTS, hid)
    for slot in range(slots):
        for joint in range(JOINTS):
            assert_equal(found[slot, joint], network.fc(torch.cat([ours[joint, slot], theirs[slot, joint]])))
