"""What this installation has at hand, so that the next command to type is one that works here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from poseedge.bundle.manifest import MANIFEST
from poseedge.bundle.reading import Bundle
from poseedge.errors import PoseedgeError
from poseedge.live.trained import bundled_network

EXPORTED = Path("build") / "nanohtnet"


def here(module: str) -> bool:
    """Say whether an optional package is installed."""
    return find_spec(module) is not None


def some_bundle() -> Path:
    """Return a bundle that exists: the one that was exported here, else the one that comes with the package."""
    if (EXPORTED / MANIFEST).is_file():
        return EXPORTED
    shipped = bundled_network()
    return shipped.relative_to(Path.cwd()) if shipped.is_relative_to(Path.cwd()) else shipped


def reference_of(bundle: Bundle | None, precision: str) -> list[str]:
    """Return the words that name what a bundle's graph can be compared with here, none if there is nothing."""
    if bundle is None:
        return []
    if here("torch"):
        try:
            bundle.checkpoint()
        except PoseedgeError:  # it has gone from where the export found it
            pass
        else:
            return ["--against", "checkpoint"]
    return ["--against", str(bundle.graph("fp32"))] if precision != "fp32" and "fp32" in bundle.precisions else []
