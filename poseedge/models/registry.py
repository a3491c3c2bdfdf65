"""Which networks exist, by name."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from poseedge.errors import PoseedgeError, nearest

Shapes = Mapping[str, tuple[int, ...]]


class Network(nn.Module):
    """What every registered network is: a module that carries its configuration and can tell its own checkpoints."""

    name: ClassVar[str]
    config: dict[str, Any]

    @classmethod
    def infer_config(cls, shapes: Shapes) -> dict[str, Any] | None:
        """Return the configuration that a state dict of these shapes has, or None if it is another network's."""
        return None


class LiftingNetwork(Network, ABC):
    """A network that lifts windows.

    ``lift`` takes ``(B, frames, 17, in_channels)`` normalized screen coordinates and gives ``(B, K, 17, 3)`` metres
    relative to the root; output slot ``i`` is the pose of window frame ``output_frames[i]``. ``forward`` gives what the
    published code gives, which is the same thing but where a class says otherwise.
    """

    in_channels: ClassVar[int] = 2
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


_NETWORKS: dict[str, type[Network]] = {}
NetworkClass = TypeVar("NetworkClass", bound=type[Network])


def register(name: str) -> Callable[[NetworkClass], NetworkClass]:
    """Enter a network class under ``name``."""

    def enter(network: NetworkClass) -> NetworkClass:
        network.name = name
        _NETWORKS[name] = network
        return network

    return enter


def names() -> list[str]:
    """Return the names of all networks, sorted."""
    return sorted(_NETWORKS)


def network_class(name: str) -> type[Network]:
    """Return the class registered under ``name``; the error for an unknown name suggests the nearest."""
    if name not in _NETWORKS:
        raise PoseedgeError(f"unknown model {name!r}", nearest(name, names()))
    return _NETWORKS[name]


def create(name: str, **config: Any) -> Network:
    """Build the network ``name`` in evaluation mode; ``config`` overrides its published defaults."""
    network = network_class(name)
    known = inspect.signature(network).parameters
    for key in config:
        if key not in known:
            raise PoseedgeError(f"{name} has no setting {key!r}", f"its settings are: {', '.join(known)}")
    module = network(**config)
    module.config = {key: config.get(key, parameter.default) for key, parameter in known.items()}
    return module.eval()
