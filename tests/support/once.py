"""What takes seconds to make, and is read only, is made once for all processes of a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from poseedge.files import locked


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder ``name``; the first process that asks makes it, which the others wait for."""
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    whole, begun = shared / name, shared / f"{name}.begun"
    with locked(shared / f"{name}.lock"):
        if not whole.exists():
            make(begun)
            begun.rename(whole)
    return whole
