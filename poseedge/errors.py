"""The one exception family: what went wrong, and what to do about it."""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType


class PoseedgeError(Exception):
    """An error that a person can act on.

    ``message`` names the file or value, what was expected and what was found; ``hint`` is the next step.
    Only the command line prints these; it exits with status 2.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class DataError(PoseedgeError):
    """A data file or array is not what it should be."""


class CheckpointError(PoseedgeError):
    """A checkpoint cannot be read, or belongs to another network."""


class ArtefactError(PoseedgeError):
    """An ONNX file, engine or bundle is damaged or foreign."""


class PoseedgeWarning(UserWarning):
    """What is given may be meant otherwise; for those who call the library. The command line reads and normalizes itself."""


def nearest(name: str, known: list[str]) -> str:
    """Return a hint for an unknown ``name``: the nearest of ``known``, and all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return (f"did you mean {close[0]!r}? " if close else "") + f"Known: {', '.join(known)}"


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it."""
    try:
        found = importlib.import_module(module)
        if getattr(found, "__file__", module) is None:
            raise ImportError(f"there are only type stubs of {module!r}")
        return found
    except ImportError as error:
        raise PoseedgeError(
            f"this needs the Python package {module!r}, which is not installed here ({error})",
            f"install it with: pip install 'poseedge[{extra}]'",
        ) from error
