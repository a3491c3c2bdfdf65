"""What a network of this project is: its configuration, its window, and what it gives."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Identity:
    """Which network a checkpoint was taken for, and on what that rests."""

    name: str
    config: dict[str, Any]
    others: tuple[str, ...] = ()  # networks that it fits as well
    assumed: tuple[str, ...] = ()  # settings that nothing in the file tells

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it, a line each."""
        said = [f"{self.name}; fits {', '.join(self.others)} as well: --model"] if self.others else []
        values = ", ".join(f"{key} = {self.config[key]}" for key in self.assumed)
        said += [f"the file does not tell {values}; other values: --set network.{self.assumed[0]}=..."] if values else []
        return tuple(said)


class Network(nn.Module):
    """What every registered network is: a module that carries its configuration and can tell its own checkpoints."""

    name: ClassVar[str]
    assumed: ClassVar[tuple[str, ...]] = ()  # settings that leave no trace in a state dict, though they change the poses
    config: dict[str, Any]
    identity: Identity | None = None  # where its weights come from a file
    fps: float | None = None  # frames per second of what it was trained on, where that is known

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Return the configuration that a state dict of these shapes has, or None if it is another network's."""
        return None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return every setting with its default, the published size."""
        return {key: parameter.default for key, parameter in inspect.signature(cls).parameters.items()}


class LiftingNetwork(Network, ABC):
    """A network that lifts windows.

    ``lift`` takes ``(B, frames, 17, in_channels)`` normalized screen coordinates and gives ``(B, K, 17, 3)`` metres
    relative to the root; output slot ``i`` is the pose of window frame ``output_frames[i]``. ``forward`` gives what the
    published code gives, which is the same thing but where a class says otherwise.
    """

    in_channels: int = 2
    frames: int

    @property
    def shares_selection(self) -> bool:
        """Whether, in the flip test, the mirrored pass has to keep the frames that the plain pass chose."""
        return False

    @property
    @abstractmethod
    def output_frames(self) -> tuple[int, ...]:
        """Window frame that each output slot of ``lift`` shows."""

    def lift(self, x: Tensor) -> Tensor:
        """What deployment and evaluation use."""
        return self(x)

    @property
    def supervised_frames(self) -> tuple[int, ...]:
        """Window frames whose true poses training needs."""
        return self.output_frames

    def supervised(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What training compares with the truth, one pair per head.

        Poses ``(B, K, 17, 3)``, and where in ``supervised_frames`` each stands, ``(B or 1, K)`` int64.
        """
        return [in_order(self(x))]


def in_order(poses: Tensor) -> tuple[Tensor, Tensor]:
    """Return poses ``(B, K, 17, 3)`` that show the supervised frames one by one, with their places ``(1, K)``."""
    return poses, torch.arange(poses.shape[1], device=poses.device)[None]
