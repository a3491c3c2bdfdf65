"""Which networks exist, by name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

from poseedge.errors import PoseedgeError, nearest
from poseedge.models.network import LiftingNetwork, Network

LARGEST = 10_000  # frames, channels, layers
_NETWORKS: dict[str, type[Network]] = {}
NetworkClass = TypeVar("NetworkClass", bound=type[Network])


def is_whole(value: object) -> bool:
    """Say whether a setting is a whole number."""
    return isinstance(value, Integral) and not isinstance(value, bool)


# What the settings of a network can be, by their annotation: in words, and as a check.
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number", is_whole),
    "float": ("a number", lambda value: isinstance(value, Real) and not isinstance(value, bool)),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "list[int] | tuple[int, ...]": (
        "a list of whole numbers",
        lambda value: isinstance(value, list | tuple) and all(map(is_whole, value)),
    ),
}


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
    """Build the network ``name`` in evaluation mode; ``config`` overrides its published defaults.

    Raises ``PoseedgeError`` for a setting that it does not have, and for a value with which it cannot be built.
    """
    check_settings(name, config)
    network = network_class(name)
    if large := oversized(config, LARGEST):  # building it would take time and memory before anything else can fail
        raise PoseedgeError(f"no network is as large as {name} with {large}", f"at most {LARGEST}")
    try:
        module = network(**config)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError, AttributeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise PoseedgeError(f"{name} cannot be built with {config}: {first}", f"its defaults: {network.defaults()}") from error
    known = inspect.signature(network).parameters
    module.config = {key: config.get(key, parameter.default) for key, parameter in known.items()}
    return module.eval()


def check_settings(name: str, config: Mapping[str, Any]) -> None:
    """Raise ``PoseedgeError`` for a setting that the network ``name`` does not have, and for a value of another kind."""
    known = inspect.signature(network_class(name)).parameters
    for key, value in config.items():
        if key not in known:
            raise PoseedgeError(f"{name} has no setting {key!r}", f"its settings are: {', '.join(known)}")
        annotation = known[key].annotation
        kind, fits = KINDS.get(getattr(annotation, "__name__", annotation), ("", lambda _: True))
        if not fits(value):
            default = json.dumps(known[key].default)
            raise PoseedgeError(f"{name}: network.{key} is {kind}, not {value!r}", f"its default: network.{key}={default}")


def oversized(config: Mapping[str, Any], bound: int) -> str:
    """Return the first setting with a number beyond ``bound``, as ``key = value``; empty if there is none."""
    for key, value in config.items():
        numbers = value if isinstance(value, (list, tuple)) else [value]
        if len(numbers) > bound or any(isinstance(number, int) and number > bound for number in numbers):
            return f"{key} = {str(value)[:40]}"
    return ""
