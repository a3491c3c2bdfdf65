"""Quantization-aware training: a network learns to give, rounded as its INT8 graph rounds, what it gave in float.

Each step folds the network anew, so that gradients reach the published weights through the deployed form, and rounds
inputs and weights of those Linear layers that ``int8.placement`` chooses. Rounding passes gradients on as if it were not
there (straight through; Bengio et al. 2013) but for what it clips; through the step they reach the range of the
activation (LSQ; Esser et al. 2020). A batch calibrates itself as deployment does its windows, by their minimum and
maximum. So nothing but the ordinary weights is learnt: the result is exported, calibrated and quantized like any other.
"""

from __future__ import annotations

import copy
import hashlib

import torch
from torch import Tensor, nn

from poseedge.arrays import Float32Array, IndexArray
from poseedge.errors import PoseedgeError
from poseedge.export.recipe import Int8
from poseedge.fold import differentiable_fold, fold
from poseedge.fold.algebra import Dense
from poseedge.graph.channels import Origin
from poseedge.graph.compare import scope
from poseedge.graph.trace import simplify, trace
from poseedge.int8.centring import Centring
from poseedge.int8.placement import place
from poseedge.int8.ranges import QMAX, center, center_behind
from poseedge.int8.windows import ChannelStatistics
from poseedge.models.network import LiftingNetwork
from poseedge.training.objective import Objective, Pairs, with_confidence

OPSET = 17  # of the graph that names the layers; any other names the same


class QuantizedObjective(Objective):
    """Train a lifting network in INT8 towards the poses that it gives in float as it comes.

    Raises ``PoseedgeError`` for a network without folded form, and if none of its layers takes INT8.
    """

    def __init__(self, network: LiftingNetwork, int8: Int8) -> None:
        super().__init__()
        self.network, self.migrate = network, int8.migrate
        self.layers = quantized_layers(network, int8.keep)
        self.teacher = copy.deepcopy(network).eval().requires_grad_(False)

    @property
    def identity(self) -> dict[str, str]:
        """The network that is imitated."""
        state = self.teacher.state_dict()
        return {"imitated": hashlib.sha256(b"".join(value.cpu().numpy().tobytes() for value in state.values())).hexdigest()}

    def train(self, mode: bool = True) -> QuantizedObjective:
        """Stay in evaluation mode: the deployed form has no dropout and no statistics of a batch."""
        return super().train(False)

    def forward(self, keypoints: Tensor, joints_m: Tensor, root_m: Tensor, intrinsics: Tensor) -> Pairs:
        """Return the pair of a ``Batch``: poses in INT8 and in float. The true poses are not needed."""
        windows = with_confidence(keypoints, self.network)
        with torch.no_grad():
            wanted = self.teacher.lift(windows)
        return [(self.quantized()(windows), wanted)]

    def quantized(self) -> nn.Module:
        """Return the network in its deployed form, rounding as INT8 does; gradients reach the network's weights."""
        device = next(self.network.parameters()).device
        with device:
            folded = differentiable_fold(self.network, free_batch=True).to(device)
        for name, (centring, behind) in self.layers.items():
            dense = folded.get_submodule(name)
            assert isinstance(dense, Dense)
            norm = WatchedNorm(folded.get_submodule(scope(behind.tensors[0])), behind.channels) if behind else None
            folded.set_submodule(name, QuantizedDense(name, dense, centring, self.migrate, norm))
        return folded

    @torch.inference_mode()
    def distance_mm(self, windows: Float32Array, batch: int) -> float:
        """Return how far apart the joints but the root are in INT8 and in the float of old, on ``windows (N, T, 17, C)``."""
        module, total = self.quantized(), 0.0
        for part in torch.from_numpy(windows).to(next(self.network.parameters()).device).split(batch):
            apart = (module(part) - self.teacher.lift(part))[..., 1:, :].norm(dim=-1)
            total += float(apart.mean()) * len(part)
        return 1000 * total / len(windows)


class WatchedNorm:
    """What a norm gave when it was last called, of which a layer reads these ``channels`` behind a change of layout."""

    def __init__(self, norm: nn.Module, channels: IndexArray) -> None:
        self.channels = channels
        norm.register_forward_hook(self.remember)

    def remember(self, norm: nn.Module, given: object, output: Tensor) -> None:
        """Keep what the channels did."""
        self.statistics = statistics(output)


class QuantizedDense(Dense):
    """A Linear layer as its INT8 graph computes it, calibrated on the input at hand; see ``int8.quantize``."""

    def __init__(self, name: str, dense: Dense, centring: Centring, migrate: float, norm: WatchedNorm | None) -> None:
        nn.Module.__init__(self)  # weight and bias exist
        self.weight, self.bias = dense.weight, dense.bias
        self.name, self.centring, self.migrate, self.norm = name, centring, migrate, norm

    def forward(self, x: Tensor) -> Tensor:
        activation = center(statistics(x), self.name, self.centring, self.migrate)
        if self.norm is not None:
            whole = center(self.norm.statistics, self.name, self.centring, self.migrate)
            activation = center_behind(statistics(x), whole, self.norm.channels)
        offset, divisor, mean = (
            torch.from_numpy(part).to(x) for part in (activation.offset, activation.divisor, activation.mean)
        )
        centred = (x - offset) / divisor
        reach = centred.abs().amax()
        step = float(activation.step) * reach / reach.detach()
        rounded = torch.fake_quantize_per_tensor_affine(centred / step, 1.0, 0, -128, 127) * step

        scaled = divisor[:, None] * self.weight
        int8 = rounded_weight(scaled)
        given_back = offset @ self.weight - (mean - offset) / divisor @ (int8 - scaled)
        y = rounded @ int8 + given_back
        return y if self.bias is None else y + self.bias


def rounded_weight(weight: Tensor) -> Tensor:
    """Round ``(in, out)`` to INT8 with a step for each output."""
    largest = weight.detach().abs().amax(dim=0)
    scale = torch.where(largest > 0, largest / QMAX, 1.0)
    zeros = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zeros, 1, -int(QMAX), int(QMAX))


def statistics(x: Tensor) -> ChannelStatistics:
    """Return what the channels of ``(..., C)`` do."""
    rows = x.detach().reshape(-1, x.shape[-1]).double()
    return ChannelStatistics(*(part.cpu().numpy() for part in (rows.amin(dim=0), rows.amax(dim=0), rows.mean(dim=0))))


def quantized_layers(network: LiftingNetwork, keep: list[str]) -> dict[str, tuple[Centring, Origin | None]]:
    """Return the layers that take INT8 at level A, by their name in the folded network, and who centres their input.

    Behind a change of layout, also which channels of a norm that input holds.
    """
    graph, _ = simplify(trace(fold(network), network.frames, network.in_channels, OPSET, free_batch=False))
    placement = place(graph, keep)
    if not placement.layers:
        raise PoseedgeError(f"no layer of {network.name} takes INT8", "train it without --qat")
    read = {name: node.input[0] for name, node in placement.layers.items()}
    return {name: (placement.tensors[key][1], placement.behind_norm(key)) for name, key in read.items()}
