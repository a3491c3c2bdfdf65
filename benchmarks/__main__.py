"""One program for every recorded comparison.

python -m benchmarks                       # what there is
python -m benchmarks NAME [OPTIONS]        # one of them; NAME --help says what it takes
python -m benchmarks all --data mocap17    # every recorded comparison again (make bench)
python -m benchmarks all --short           # the same in a trial size, recorded nowhere
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from poseedge.errors import PoseedgeError, nearest

HERE = Path(__file__).parent


def programs() -> dict[str, str]:
    """Return the programs by name, each with the first line of what it says of itself; none is imported."""
    found = {}
    for path in sorted(HERE.glob("*.py")):
        module = ast.parse(path.read_text())
        if any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PROGRAM" for node in module.body):
            found[path.stem] = (ast.get_docstring(module) or "").split("\n")[0]
    return found


def program(name: str) -> Callable[..., Any]:
    """Return the command of the program ``name``; raises ``PoseedgeError`` with the nearest name if there is none."""
    known = programs()
    if name not in known:
        raise PoseedgeError(f"no benchmark {name!r}", nearest(name, list(known)))
    command: Callable[..., Any] = importlib.import_module(f"benchmarks.{name}").PROGRAM
    return command


def main(arguments: list[str]) -> int:
    """Run what ``arguments`` name; return the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print((__doc__ or "").partition("\n\n")[2])
        print("\n".join(f"{name:20} {line}" for name, line in programs().items()))
        return 0
    name, *rest = arguments
    try:
        sys.argv = [f"python -m benchmarks {name}", *rest]
        typer.run(program("every" if name == "all" else name))
    except PoseedgeError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
