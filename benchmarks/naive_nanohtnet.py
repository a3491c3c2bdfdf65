"""NanoHTNet in its published form, exported the way people do it today: what the product is measured against.

Limb features are written back by indexed assignment, graph convolutions stay unfolded, attention transposes a 5-D
tensor. Only the FFT, which no exporter takes, is a matrix. The modules change ``forward`` alone, so any NanoHTNet
checkpoint fits.
"""

from __future__ import annotations

import copy
from pathlib import Path

import onnx
import onnxsim
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.errors import PoseedgeError
from poseedge.models.layers import Attention, ModulatedGraphConv
from poseedge.models.nanohtnet import IPC, LIMBS, OUTER, NanoHTNet
from poseedge.skeleton import NUM_JOINTS

OPSET = 17


def published_form(network: NanoHTNet) -> NanoHTNet:
    """Return a copy of ``network`` whose modules compute the same in the published way."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if type(module) in _PUBLISHED:
            module.__class__ = _PUBLISHED[type(module)]
    return network


def export_naive(network: NanoHTNet, path: Path) -> None:
    """Write the published form as ONNX: tracing exporter, opset 17, fixed batch of one, then onnxsim."""
    window = torch.zeros(1, network.frames, NUM_JOINTS, 2)
    torch.onnx.export(published_form(network), (window,), str(path), opset_version=OPSET, dynamo=False, input_names=["keypoints"])
    simplified, equal = onnxsim.simplify(onnx.load(path))
    if not equal:
        raise PoseedgeError(f"{path}: onnxsim changed what the naive graph computes")
    onnx.save(simplified, path)


class PublishedGraphConv(ModulatedGraphConv):
    """Modulated graph convolution with both adjacency masks applied in the forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        own, others = torch.matmul(x, self.W[0]), torch.matmul(x, self.W[1])
        adjacency = self.A + self.adj2
        adjacency = (adjacency.T + adjacency) / 2
        identity = torch.eye(adjacency.shape[0])
        kept = torch.matmul(adjacency * identity, self.M * own)
        mixed = torch.matmul(adjacency * (1 - identity), self.M * others)
        return kept + mixed + self.bias.view(1, 1, -1)


class PublishedAttention(Attention):
    """Attention by one ``(3, B, heads, N, hd)`` transpose, the scores scaled after their product."""

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        head_width = width // self.heads
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, head_width).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        weights = (q @ k.transpose(-2, -1) * head_width**-0.5).softmax(dim=-1)
        x = (weights @ v).transpose(1, 2).reshape(batch, tokens, width)
        return self.proj_drop(self.proj(x))


class PublishedIPC(IPC):
    """Limb features written over the outer joints, limb by limb."""

    def forward(self, joints: Tensor, limbs: Tensor) -> Tensor:
        x = limbs + joints
        x1, x2 = self.norm_conv1(x), self.norm_conv2(x)
        p1 = self.limb_features(x1, LIMBS, self.conv1, self.norm_conv1_mlp, self.mlp_down_1)
        p2 = self.limb_features(x2, OUTER, self.conv2, self.norm_conv2_mlp, self.mlp_down_2)
        o1, o2 = x1.clone(), x2.clone()
        for index, outer in enumerate(OUTER):
            o1[:, list(outer)] = p1[:, index].unsqueeze(1).repeat(1, 2, 1)
            o2[:, [outer[-1]]] = p2[:, index].unsqueeze(1).repeat(1, 1, 1)
        return o1 + o2 + x

    def limb_features(
        self, x: Tensor, limbs: tuple[tuple[int, ...], ...], conv: nn.Module, norm: nn.Module, mlp: nn.Module
    ) -> Tensor:
        """Convolve each limb's joints into one vector: ``(B, 17, d)`` to ``(B, 4, d)``."""
        rows = torch.cat([x[:, list(limb)] for limb in limbs], dim=1)
        pooled = F.gelu(conv(rows.permute(0, 2, 1)).permute(0, 2, 1))
        return pooled + mlp(norm(pooled))


_PUBLISHED: dict[type[nn.Module], type[nn.Module]] = {
    ModulatedGraphConv: PublishedGraphConv,
    Attention: PublishedAttention,
    IPC: PublishedIPC,
}
