"""Which networks exist, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from poseedge.errors import PoseedgeError, nearest
from poseedge.models.network import LiftingNetwork, Network

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


def lifting_names() -> list[str]:
    """Return the names of the networks that lift windows, sorted."""
    return [name for name in names() if issubclass(_NETWORKS[name], LiftingNetwork)]


def family_of(name: str) -> str:
    """Return the plain network that ``name`` is a variant of, or itself: the most general registered class that it inherits."""
    line = [other for other, network in _NETWORKS.items() if issubclass(network_class(name), network)]
    return min(line, key=lambda other: len(_NETWORKS[other].__mro__))


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
