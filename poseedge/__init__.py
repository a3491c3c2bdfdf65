"""poseedge: from a 2D-to-3D pose lifting checkpoint to a verified, benchmarked edge bundle."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as type checkers read it; importing typing would be most of the time that this takes
if TYPE_CHECKING:
    from typing import Any

    from poseedge.backends.registry import load as load
    from poseedge.lifter import Lifter as Lifter
    from poseedge.lifter import LifterSpec as LifterSpec
    from poseedge.live.lift import lift as lift
    from poseedge.live.stream import Stream as Stream

__version__ = "0.1.0"

# Importing these at once would take a while, and models needs PyTorch.
_WHEN_USED = {
    "Lifter": "poseedge.lifter",
    "LifterSpec": "poseedge.lifter",
    "Stream": "poseedge.live.stream",
    "lift": "poseedge.live.lift",
    "load": "poseedge.backends.registry",
}
_MODULES = ("metrics", "models")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"poseedge.{name}")
    if name not in _WHEN_USED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHEN_USED[name]), name)
