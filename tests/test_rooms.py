"""Imports point one way: from the rooms above to those below, imports inside functions included, and in no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "poseedge"
# From the ground up: what stands in a line may import its own room and the lines before it.
STOREYS = (
    ("arrays", "errors", "onnx_file", "overlap", "progress", "records", "resources"),
    ("contract", "files", "metrics", "skeleton"),
    ("figure",),
    ("lifter", "network_files", "settings"),
    ("caches",),
    ("data", "models"),
    ("graph", "fold"),
    ("evaluation",),
    ("bundle",),
    ("int8",),
    ("targets",),
    ("device",),
    ("engines",),
    ("backends",),
    ("export",),
    ("training", "bench", "live"),
    ("cli",),
)
LARGEST_ROOM = 20  # modules


def modules() -> dict[str, Path]:
    """Return the files of all modules by dotted name."""
    names = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of this package that ``path`` imports, but for what type checkers alone read."""
    tree = ast.parse(path.read_text())
    guarded = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    unread = {id(inner) for node in guarded for part in node.body for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in inner)


def imports() -> dict[str, set[str]]:
    """Return, for each module, the others that it imports; a package's own names do not count for what lies inside."""
    known = modules()
    return {
        name: {other for other in imported(path, known) if other != name and not name.startswith(f"{other}.")}
        for name, path in known.items()
    }


def room(module: str) -> str:
    """Return the first name below the package."""
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_a_storey() -> None:
    assert {room(module) for module in modules()} - {""} == {name for storey in STOREYS for name in storey}


def test_imports_point_downwards() -> None:
    storey = {name: number for number, names in enumerate(STOREYS) for name in names}
    upwards = {
        f"{module} -> {other}"
        for module, others in imports().items()
        for other in others
        if room(module) and room(other) and room(module) != room(other) and storey[room(other)] >= storey[room(module)]
    }
    assert upwards == set()


def test_no_module_imports_itself_by_way_of_others() -> None:
    remaining = imports()
    while leaves := [name for name, others in remaining.items() if not others & remaining.keys()]:
        for name in leaves:
            del remaining[name]
    assert not remaining


@pytest.mark.parametrize("folder", sorted({path.parent for path in PACKAGE.rglob("*.py")}), ids=lambda path: path.name)
def test_room_is_small_enough_to_overlook(folder: Path) -> None:
    assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= LARGEST_ROOM


def test_no_test_imports_anothers_module() -> None:
    """What two test files share lies in ``tests/support`` and ``tests/doubles``."""
    tests = Path(__file__).parent
    trees = {path: ast.parse(path.read_text()) for path in tests.rglob("test_*.py")}
    froms = [(path, node) for path, tree in trees.items() for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named = [(path, f"{node.module}.{alias.name}") for path, node in froms for alias in node.names]
    others = {f"{path.relative_to(tests)}: {name}" for path, name in named if name.startswith("tests.") and ".test_" in name}
    assert others == set()
