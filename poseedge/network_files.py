"""The file of each network, ``export/NAME.toml``: how it is exported, what was published of it, how it is trained.

Its top level is the export recipe; each of ``TABLES`` is read by who needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poseedge.errors import PoseedgeError, nearest
from poseedge.files import read_toml
from poseedge.resources import resource

TABLES = ("published", "default", "counted", "training", "small", "lifting")  # beside the export recipe


def network_files() -> dict[str, Path]:
    """Return the file of every network, by name, sorted."""
    return {path.stem: path for path in sorted(resource("export").glob("*.toml"))}


def read_table(name: str, table: str) -> Any:
    """Return one table of network ``name``; empty if its file has none. Raises ``PoseedgeError`` for an unknown network."""
    return read_toml(network_file(name)).get(table, {})


def network_file(name: str) -> Path:
    """Return the file of network ``name``; the error for an unknown one suggests the nearest."""
    files = network_files()
    if name not in files:
        raise PoseedgeError(f"there is no recipe for {name!r}", nearest(name, list(files)))
    return files[name]
