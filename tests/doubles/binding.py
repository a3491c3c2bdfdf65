"""How pybind11 classes and enumerations behave, cut down to what one TensorRT version has."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from tests.doubles.gpu import Gpu
from tests.doubles.presence import Version, present

if TYPE_CHECKING:
    from tests.doubles.engine import Plan


@dataclass
class Fake:
    """One installation of TensorRT: its version and GPU, what was built with it, and how it shall fail."""

    version: str
    gpu: Gpu
    built: list[Plan] = field(default_factory=list)
    build_error: str | None = None  # build_serialized_network logs this and returns None
    on_build: Callable[[], None] = lambda: None
    stored_int8: bool = True  # reads INT8 weights: no release before 8.5 does; where 8.5 to 9.x do is not settled
    capture_error: bool = False  # the network cannot be captured
    plugins: bool = False  # whether the stock plugins were registered
    printed: list[str] = field(default_factory=list)  # what the bindings print of exceptions that callbacks raise

    @property
    def release(self) -> Version:
        """(major, minor)."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)


class Bound:
    """A bound class: what its version lacks can be neither read nor set."""

    fake: Fake
    trt: Any  # the module that it belongs to

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, name, value)


def restrict(kind: type[Bound], name: str, fake: Fake, module: ModuleType) -> type[Bound]:
    """Return ``kind`` as ``name``, with the members that ``fake.version`` has."""
    kept = {key: value for key, value in vars(kind).items() if present(f"{name}.{key}", fake.release)}
    for own in ("__dict__", "__weakref__"):
        kept.pop(own, None)
    return type(name, (Bound,), kept | {"fake": fake, "trt": module})


class PybindEnum(enum.Enum):
    """An enumeration that is no int, but converts to one."""

    def __int__(self) -> int:
        return int(self.value)


def make_enum(name: str, values: dict[str, int], version: Version) -> Any:
    """Return the enumeration ``name`` with the members that ``version`` has."""
    kept = {key: value for key, value in values.items() if present(f"{name}.{key}", version)}
    return cast(Any, PybindEnum)(name, kept)


class Severity(enum.Enum):
    """As ``ILogger.Severity``."""

    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    """Base of loggers; a subclass must call ``__init__``."""

    Severity = Severity
    ready = False

    def __init__(self) -> None:
        self.ready = True

    def log(self, severity: Any, msg: str) -> None:
        """To be overridden."""


def tell(logger: ILogger, message: str, severity: Severity = Severity.ERROR) -> None:
    """Log a line as the library does; pybind11 refuses a logger whose base was not initialised."""
    if not logger.ready:
        raise TypeError("ILogger.__init__() must be called when overriding __init__")
    logger.log(severity, message)
