"""What a backend is: one runtime, the files that it opens, and what to do where it does not work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseedge.lifter import Lifter

if TYPE_CHECKING:
    from poseedge.graph.session import ort


@dataclass(frozen=True)
class Opening:
    """How a person wants a file to be opened."""

    threads: int = 1
    model: str | None = None  # as which network, where a checkpoint fits two
    settings: Mapping[str, Any] = field(default_factory=dict)  # of that network, in place of what the file tells or is assumed
    flip: bool = False  # a network whose flip test is not simply two passes does it itself


@dataclass(frozen=True)
class Backend:
    """One runtime. The module that defines it imports nothing that may be missing before ``open`` or ``works`` is called."""

    name: str  # for --backend
    suffixes: tuple[str, ...]  # of the files that it opens, in lower case
    open: Callable[[Path, Opening], Lifter]  # raises ``PoseedgeError`` if it cannot
    works: Callable[[], str]  # runs something tiny and returns versions and devices; raises if it cannot, best with a hint
    fix: str  # what to do where an error of ``works`` gives no hint
    usual: bool = True  # opens its files where no backend is named
    takes_model: bool = False  # whether ``Opening.model`` and ``settings`` mean anything to it
    recognises: Callable[[Path], bool] | None = None  # says by the content whether it opens a file, whatever that is called
    session: Callable[[Path, int], ort.InferenceSession] | None = None  # opens any ONNX file with that many threads


@dataclass(frozen=True)
class Probe:
    """Whether a backend works on this machine; ``fix`` says what to do if not."""

    name: str
    works: bool
    detail: str
    fix: str = ""
    opens: tuple[str, ...] = ()  # suffixes
