"""PoseCLR: contrastive pre-training of NanoHTNet on 2D poses alone, which several cameras saw at one instant.

The NanoHTNet authors announced it and released the head and a set of option defaults, no training code. What those
fix: one camera's window is the query, the same instant from the other cameras the keys, other instants in a queue the
negatives; InfoNCE; feature width 8, queue 20480, momentum 0.999, temperature 0.5, learning rate 1e-3. **The rest is our
reconstruction**: the key encoder is the query encoder's running average and the queue a first-in first-out store of
keys, as in momentum contrast (He et al., CVPR 2020); the loss is the mean over the positives; a code is the head's
``(17, width)`` output, flattened, of length one; fine-tuning draws the last projections anew (``benchmarks/poseclr.py``
compares), where the authors' loader would carry them over. Two further defaults, ``w`` and ``bone_weight``, have no known meaning
and are left out.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseedge.data.types import PoseDataset
from poseedge.errors import DataError
from poseedge.models.nanohtnet import NanoHTNet
from poseedge.models.registry import create
from poseedge.skeleton import MIRROR

UNKNOWN_INSTANT = -1
ANEW = ("fcn_tem.", "fcn_spa.")  # the projections next to the head, which the contrast makes blind to the camera


@dataclass(frozen=True)
class Contrast:
    """The published option defaults."""

    feature_dim: int = 8
    queue: int = 20480
    momentum: float = 0.999
    temperature: float = 0.5


class InstantSampler:
    """Draws instants of a data set as all its cameras saw them."""

    def __init__(self, dataset: PoseDataset, frames: int) -> None:
        """Raises ``DataError`` unless every clip was seen by the same number of cameras, two or more."""
        clips: dict[tuple[str, str], list[torch.Tensor]] = {}
        for sequence in dataset.sequences:
            clips.setdefault((sequence.subject, sequence.action), []).append(torch.from_numpy(sequence.keypoints))
        counts = sorted({len(views) for views in clips.values()})
        if len(counts) != 1 or counts[0] < 2:
            raise DataError(
                f"{dataset.name}: contrast needs every clip from the same two or more cameras, found {counts}",
                "keep the subjects that one rig recorded",
            )
        self.frames, self.cameras = frames, counts[0]
        lengths = [min(len(view) for view in views) for views in clips.values()]
        self.starts = torch.from_numpy(np.cumsum([0, *lengths]))
        cut = [torch.stack([view[:length] for view in views]) for views, length in zip(clips.values(), lengths, strict=True)]
        self.keypoints = torch.cat(cut, dim=1)  # (cameras, N, 17, 2)

    def draw(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return windows ``(size, cameras, frames, 17, 2)`` and their instants; cameras in random order, half mirrored."""
        instant = torch.randint(self.keypoints.shape[1], (size,), generator=generator)
        clip = torch.searchsorted(self.starts, instant, right=True) - 1
        offsets = torch.arange(self.frames) - (self.frames - 1) // 2
        index = torch.clamp(instant[:, None] + offsets, self.starts[clip][:, None], self.starts[clip + 1][:, None] - 1)
        order = torch.rand(size, self.cameras, generator=generator).argsort(dim=1)
        windows = self.keypoints[order[:, :, None], index[:, None]]
        mirrored = windows[..., MIRROR, :] * torch.tensor([-1.0, 1.0])
        turned = torch.rand(size, generator=generator) < 0.5
        return torch.where(turned[:, None, None, None, None], mirrored, windows), instant


class PoseCLR(nn.Module):
    """Query encoder, its running average, and the queue of former keys; ``forward`` gives the loss."""

    queue: Tensor
    instants: Tensor

    def __init__(self, encoder: NanoHTNet, contrast: Contrast, generator: torch.Generator) -> None:
        super().__init__()
        self.contrast = contrast
        self.encoder = encoder
        self.average = copy.deepcopy(encoder).requires_grad_(False)
        random = torch.randn(contrast.queue, encoder.config["n_joints"] * contrast.feature_dim, generator=generator)
        self.register_buffer("queue", F.normalize(random.relu(), dim=1))  # codes are non-negative
        self.register_buffer("instants", torch.full((contrast.queue,), UNKNOWN_INSTANT))

    def forward(self, windows: Tensor, instants: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the InfoNCE loss, the share of positives nearer than every negative, and the keys ``(B, V - 1, D)``.

        The first camera of ``windows (B, V, F, 17, 2)`` is the query. What the queue holds of the query's own instant is
        no negative.
        """
        query = code(self.encoder, windows[:, 0])
        with torch.no_grad():
            keys = code(self.average, windows[:, 1:].flatten(0, 1)).unflatten(0, (len(windows), -1))
        positive = torch.einsum("bd,bvd->bv", query, keys) / self.contrast.temperature
        negative = query @ self.queue.T / self.contrast.temperature
        negative = negative.masked_fill(self.instants[None] == instants[:, None], -torch.inf)
        total = torch.logaddexp(positive, negative.logsumexp(dim=1, keepdim=True))
        nearest = (positive > negative.amax(dim=1, keepdim=True)).float().mean()
        return (total - positive).mean(), nearest, keys

    @torch.no_grad()
    def follow(self, keys: Tensor, instants: Tensor) -> None:
        """Move the running average after a step, and put the step's keys in place of the oldest."""
        for average, parameter in zip(self.average.parameters(), self.encoder.parameters(), strict=True):
            average.lerp_(parameter, 1 - self.contrast.momentum)
        fresh = instants.repeat_interleave(keys.shape[1])
        self.queue.copy_(torch.cat([keys.flatten(0, 1), self.queue])[: len(self.queue)])
        self.instants.copy_(torch.cat([fresh, self.instants])[: len(self.instants)])


def code(encoder: NanoHTNet, windows: Tensor) -> Tensor:
    """Return the code ``(B, 17 * feature_dim)`` of each window, of length one."""
    return F.normalize(encoder(windows).flatten(1), dim=1)


def pretraining_network(frames: int, feature_dim: int, **config: int) -> NanoHTNet:
    """Return a NanoHTNet with the pre-training head, which is made for nine kept frames."""
    network = create("nanohtnet", frames=frames, keep_frames=9, pretrain=True, feature_dim=feature_dim, **config)
    assert isinstance(network, NanoHTNet)
    return network


def without_head(encoder: NanoHTNet) -> NanoHTNet:
    """Return the network to fine-tune: the encoder's weights, but for a fresh regression layer and ``ANEW``."""
    config = {key: value for key, value in encoder.config.items() if key not in {"pretrain", "feature_dim"}}
    network = create("nanohtnet", **config)
    assert isinstance(network, NanoHTNet)
    kept = {key: value for key, value in encoder.state_dict().items() if not key.startswith(("fc.", *ANEW))}
    network.load_state_dict({**network.state_dict(), **kept})
    return network
