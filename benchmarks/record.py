"""Where results go: JSON for programs, a table for people."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from poseedge.files import atomic_write

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"


def record(path: Path, report: dict[str, Any], table: str, page: Path | None = None, section: str = "") -> None:
    """Write ``report`` and ``table`` beside each other, the table into ``section`` of ``page`` too, and print it."""
    write_text(path.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
    write_text(path.with_suffix(".md"), table)
    if page is not None:
        embed(page, section, table)
    print(table, end="")


def read_record(path: Path) -> dict[str, Any]:
    """Return what was recorded at ``path`` before; empty if nothing was."""
    before = path.with_suffix(".json")
    known: dict[str, Any] = json.loads(before.read_text()) if before.is_file() else {}
    return known


def embed(page: Path, section: str, table: str) -> None:
    """Put ``table``, but for its title, between the marks of ``section`` in a page of the documentation."""
    start, end = f"<!-- {section} -->\n", f"<!-- end of {section} -->\n"
    before, rest = page.read_text().split(start)
    _, after = rest.split(end)
    write_text(page, before + start + table.partition("\n\n")[2] + end + after)


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def machine_slug(machine: dict[str, Any]) -> str:
    """Return a file name for the machine."""
    return slug(f"{machine['cpu']} {machine['cores_available']} cores")


def slug(name: str) -> str:
    """Return ``name`` as a part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def versions(machine: dict[str, Any]) -> str:
    """Return processor, Python and package versions in a line."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    return f"{machine['cpu']}, {machine['cores_available']} cores; Python {machine['python']}, {packages}."


def grid(columns: list[str], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table, line by line."""
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]
