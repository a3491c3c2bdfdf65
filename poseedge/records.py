"""Dataclasses from JSON, checked against their type hints: for small records that are read whenever a lifter is opened.

pydantic does more, and adds 15 MB and 0.2 s to a process that only lifts.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def record(kind: type[Record], content: Any, place: str = "") -> Record:
    """Return the dataclass ``kind`` from a table of its fields; lists become tuples where the field says so.

    Raises ``ValueError`` that names the first field which is missing, unknown or of another type.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{place.rstrip('.') or 'it'} should be a table, found {content!r:.60}")
    named = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for name, field in named.items():
        if name not in content and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{place}{name} is missing")
    if unknown := sorted(map(str, content.keys() - named.keys())):
        raise ValueError(f"{place}{unknown[0]} is unknown")
    hints = get_type_hints(kind, globalns=kind.__init__.__globals__)  # its module's own names
    return kind(**{name: converted(value, hints[name], f"{place}{name}") for name, value in content.items()})


def converted(value: Any, hint: Any, place: str) -> Any:
    """Return ``value`` as ``hint`` has it, or raise ``ValueError`` naming ``place``."""
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return record(hint, value, f"{place}.")  # type: ignore[arg-type]
    if origin in (Union, UnionType) and value is None and NoneType in inner:
        return None
    if origin in (Union, UnionType):
        return converted(value, next(part for part in inner if part is not NoneType), place)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(converted(part, inner[0], f"{place}[{at}]") for at, part in enumerate(value))
    if origin is dict and isinstance(value, dict) and all(isinstance(key, inner[0]) for key in value):
        return {key: converted(part, inner[1], f"{place}.{key}") for key, part in value.items()}
    if hint is Any or (origin is Literal and isinstance(value, str) and value in inner):
        return value
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    wanted = f"one of {', '.join(inner)}" if origin is Literal else str(getattr(origin or hint, "__name__", hint))
    raise ValueError(f"{place} should be {wanted}, found {value!r:.60}")
