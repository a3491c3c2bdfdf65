"""Contracts: what is written and read as JSON or TOML, as typed models, with one message for what does not keep them."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    WithJsonSchema,
    model_serializer,
)

from poseedge.errors import PoseedgeError

SHOWN = 60  # letters of a wrong value
# What pydantic finds wrong, in words that suit JSON and TOML.
WORDS = {
    "extra_forbidden": "is no key that is known here",
    "missing": "is missing",
    "bool_type": "should be true or false",
    "string_type": "should be text",
    **dict.fromkeys(("int_type", "int_from_float"), "should be a whole number"),
    "float_type": "should be a number",
    **dict.fromkeys(("list_type", "tuple_type"), "should be a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "should be a table"),
}


def _storable(name: str) -> str:
    if not re.match(_INSIDE, name):
        raise ValueError(f"{shortened(name)} is no name of a file in this folder")
    if len(name.encode("utf-8", "replace")) > 255:
        raise ValueError("no file system has names as long as this")
    return name


# The name of a file in a folder: it leads nowhere else.
_INSIDE = r"^([^/\\\x00.]|\.[^/\\\x00.]|\.\.[^/\\\x00])[^/\\\x00]*$"
FileName = Annotated[str, AfterValidator(_storable), WithJsonSchema({"type": "string", "pattern": _INSIDE})]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]


class Contract(BaseModel):
    """What poseedge writes for others. Values have the stated types, with no conversion.

    Keys that are not known are kept and written again: a later poseedge may say more.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    left_out: ClassVar[frozenset[str]] = frozenset()  # keys that are not written where they are None

    @model_serializer(mode="wrap")
    def _without_left_out(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in write(self).items() if value is not None or key not in self.left_out}


class Table(BaseModel):
    """What a person writes for poseedge. Keys that are not known are errors: they may be misspelt."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Model = TypeVar("Model", bound=BaseModel)


def parsed(kind: type[Model], content: Any, where: str, hint: str, error: type[PoseedgeError] = PoseedgeError) -> Model:
    """Return ``content`` as ``kind``; raises ``error`` that names ``where``, the first field at fault and what it holds."""
    try:
        return kind.model_validate(content)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        place = "".join(f"{part}: " for part in [".".join(map(str, first["loc"]))] if part)
        said = WORDS.get(first["type"]) or first["msg"].removeprefix("Value error, ").replace("Input should", "should")
        found = "" if first["type"] in {"missing", "extra_forbidden", "value_error"} else f", found {shortened(first['input'])}"
        raise error(f"{where}: {place}{said}{found}", hint) from wrong


def shortened(value: Any) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, (dict, list)) and value:
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
