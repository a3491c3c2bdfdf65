"""Where results go: JSON for programs, a table for people."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from poseedge.files import atomic_write

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def record(path: Path, report: dict[str, Any], table: str) -> None:
    """Write ``report`` and ``table`` beside each other, and print the table."""
    write_json(path.with_suffix(".json"), report)
    write_text(path.with_suffix(".md"), table)
    print(table, end="")


def embed(page: Path, name: str, table: str) -> None:
    """Put ``table``, but for its title, between the marks of ``name`` in a page of the documentation."""
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, rest = page.read_text().split(start)
    _, after = rest.split(end)
    write_text(page, before + start + table.partition("\n\n")[2] + end + after)


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write one report."""
    write_text(path, json.dumps(report, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def machine_slug(machine: dict[str, Any]) -> str:
    """Return a file name for the machine."""
    return re.sub(r"[^a-z0-9]+", "-", f"{machine['cpu']} {machine['cores_available']} cores".lower()).strip("-")


def versions(machine: dict[str, Any]) -> str:
    """Return processor, Python and package versions in a line."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    return f"{machine['cpu']}, {machine['cores_available']} cores; Python {machine['python']}, {packages}."


def grid(columns: list[str], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table, line by line."""
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]
