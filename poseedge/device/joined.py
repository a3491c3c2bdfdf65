"""A bundle's ``run.py``: the parts in ``device/runner``, and what they share with the library, in one file that stands alone."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

PARTS = Path(__file__).parent / "runner"
PACKAGE = "poseedge.device.runner"
SHARED = ("onnx_file", "overlap")  # modules of poseedge that are parts, too
ENTRY = "main"  # the part that the program begins in; it comes last
HEAD = '''#!/usr/bin/env python3
"""Build, verify and time this bundle on the device at hand.

    python3 run.py --precision fp16

Written into every bundle as ``run.py``. Needs Python 3.6 and numpy, then TensorRT and pycuda as JetPack brings
them, or ONNX Runtime where there is no TensorRT; nothing of poseedge. Exit status: 0 the poses agree with the
reference within the bundle's limits, 1 they do not, 2 it could not be run.
"""
'''
TAIL = 'if __name__ == "__main__":\n    sys.exit(main())\n'
WIDTH = 120  # of the lines between the parts


def run_py() -> str:
    """Return the text of ``run.py``; the same parts always give the same text."""
    parts = {name: path.read_text(encoding="utf-8") for name, path in sorted(part_files().items())}
    trees = {part: ast.parse(text) for part, text in parts.items()}
    order = used_first({part: set(used_parts(tree)) for part, tree in trees.items()})
    sections = [f"{part_heading(trees[part])}\n\n{body(parts[part], trees[part])}" for part in order]
    return "\n\n\n".join([HEAD + "\n" + "\n".join(imports(trees.values())), *sections, TAIL])


def part_files() -> dict[str, Path]:
    """Return the file of each part by its dotted name."""
    files = (path for path in PARTS.rglob("*.py") if path.stem != "__init__")
    own = {".".join(path.relative_to(PARTS).with_suffix("").parts): path for path in files}
    return own | {name: PARTS.parents[1] / f"{name}.py" for name in SHARED}


def imports(trees: Iterable[ast.Module]) -> list[str]:
    """Return the lines that import what the parts do not define themselves, numpy last."""
    plain, named = {"import sys"}, defaultdict[str, set[str]](set)
    for statement in (statement for tree in trees for statement in tree.body):
        if isinstance(statement, ast.Import):
            plain.add(ast.unparse(statement))
        elif isinstance(statement, ast.ImportFrom) and not str(statement.module).startswith("poseedge."):
            named[str(statement.module)].update(alias.name for alias in statement.names)
    numpy = {line for line in plain if "numpy" in line}
    froms = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(named.items())]
    return [*sorted(plain - numpy), *froms, "", *sorted(numpy)]


def used_parts(tree: ast.Module) -> Iterator[str]:
    """Yield the other parts that a part takes names from."""
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith("poseedge."):
            yield str(statement.module).removeprefix(f"{PACKAGE}.").removeprefix("poseedge.")


def used_first(uses: dict[str, set[str]]) -> list[str]:
    """Return the parts so that each stands after those it uses, by name where either order would do."""
    placed: list[str] = []

    def place(part: str) -> None:
        for used in sorted(uses[part]):
            place(used)
        if part not in placed:
            placed.append(part)

    for part in sorted(uses.keys() - {ENTRY}):
        place(part)
    place(ENTRY)
    return placed


def part_heading(tree: ast.Module) -> str:
    """Return the line between two parts: what the next one says of itself."""
    return f"# --- {str(ast.get_docstring(tree)).splitlines()[0].rstrip('.')} ".ljust(WIDTH, "-")


def body(text: str, tree: ast.Module) -> str:
    """Return a part without its docstring and its imports."""
    first = next(node for node in tree.body[1:] if not isinstance(node, ast.Import | ast.ImportFrom))
    start = min([first.lineno, *(decorator.lineno for decorator in getattr(first, "decorator_list", []))])
    return "\n".join(text.splitlines()[start - 1 :]).rstrip()
