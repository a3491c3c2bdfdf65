"""TensorRT's published type stubs, mended: mypy checks our calls against them, and a test checks the stand-ins.

python -m tests.doubles.stubs FOLDER

``tensorrt-stubs`` 10.13 cannot be read as published: parameters called ``in``, one without a default after others with
one, and a module variable ``bool`` that hides the type.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

MENDS = (
    (re.compile(r"\bin: list"), "in_: list"),
    (re.compile(r"(= None, channel_axis: int)\)"), r"\1 = ...)"),
    (re.compile(r"(?<!^)(?<!')\bbool\b", re.MULTILINE), "builtins.bool"),
    (re.compile(r"^import typing$", re.MULTILINE), "import builtins\nimport typing"),
)


def published() -> dict[str, str]:
    """Return the stub files of the installed package, mended, by path; raises ``PackageNotFoundError`` if there is none."""
    package = distribution("tensorrt-stubs")
    files = [file for file in package.files or () if file.suffix == ".pyi"]
    return {str(file): mend(Path(str(package.locate_file(file))).read_text()) for file in files}


def mend(text: str) -> str:
    """Return what a stub file means to say."""
    for broken, whole in MENDS:
        text = broken.sub(whole, text)
    return text


def main(folder: Path) -> None:
    """Write the mended stubs for mypy to find."""
    try:
        stubs = published()
    except PackageNotFoundError:
        print("tensorrt-stubs is not installed: mypy leaves TensorRT's names unchecked")
        return
    for name, text in stubs.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text() != text:  # else mypy's cache stays good
            path.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
