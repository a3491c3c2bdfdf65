"""Loss terms of the papers, on poses ``(B, K, J, 3)`` in metres; frames stand in order on the second axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from poseedge.errors import PoseedgeError

Term = Callable[[Tensor, Tensor], Tensor]

# How much a joint counts (MixSTE): legs and arms more towards their ends.
JOINT_WEIGHTS = (1, 1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1, 1, 1.5, 1.5, 4, 4, 1.5, 4, 4)


def mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean joint distance."""
    return (predicted - target).norm(dim=-1).mean()


def weighted_mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean joint distance, each joint by its weight (Zhang et al. 2022, MixSTE)."""
    return ((predicted - target).norm(dim=-1) * predicted.new_tensor(JOINT_WEIGHTS)).mean()


def temporal(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean weighted squared step of a coordinate from frame to frame, whatever the target does (MixSTE)."""
    steps = predicted.diff(dim=1)
    return (steps.square() * steps.new_tensor(JOINT_WEIGHTS)[:, None]).mean()


def velocity(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean distance between predicted and true step from frame to frame (Pavllo et al. 2019)."""
    return mpjpe(predicted.diff(dim=1), target.diff(dim=1))


def n_mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean joint distance after the best scale of each frame (Rhodin et al. 2018)."""
    power = predicted.square().sum(dim=(-2, -1), keepdim=True)
    scale = (predicted * target).sum(dim=(-2, -1), keepdim=True) / power.clamp_min(1e-12)
    return mpjpe(scale * predicted, target)


def p_mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean joint distance after the best rotation, scale and shift of each pose; the alignment counts as constant.

    The gradient through the singular values is ill-conditioned for symmetric poses, so none goes there.
    """
    p, t = (x - x.mean(dim=-2, keepdim=True) for x in (predicted, target))
    with torch.no_grad():
        u, s, vh = torch.linalg.svd(p.transpose(-2, -1) @ t)
        sign = torch.ones_like(s)
        sign[..., 2] = torch.linalg.det(u @ vh).sign()  # never a reflection
        rotation = (u * sign[..., None, :]) @ vh
        scale = (s * sign).sum(dim=-1) / p.square().sum(dim=(-2, -1)).clamp_min(1e-12)
    return mpjpe(scale[..., None, None] * p @ rotation, t)


TERMS: dict[str, Term] = {term.__name__: term for term in (mpjpe, weighted_mpjpe, temporal, velocity, n_mpjpe, p_mpjpe)}
_NEED_MOTION = {"temporal", "velocity"}


def total(weights: Mapping[str, float], predicted: Tensor, target: Tensor) -> Tensor:
    """Return the weighted sum of loss terms.

    Raises ``PoseedgeError`` for shapes that differ, and for a term of motion where there is only one frame.
    """
    if predicted.shape != target.shape:
        raise PoseedgeError(
            f"the network gives poses {tuple(predicted.shape)} for targets {tuple(target.shape)}",
            "give it windows of the length that it was built for",
        )
    used = {name: weight for name, weight in weights.items() if weight}
    if predicted.shape[1] < 2 and (moving := sorted(_NEED_MOTION & used.keys())):
        raise PoseedgeError(
            f"the loss terms {', '.join(moving)} compare frames, and the network gives one",
            "leave them out: " + " ".join(f"--set loss.{name}=0" for name in moving),
        )
    return torch.stack([weight * TERMS[name](predicted, target) for name, weight in used.items()]).sum()
