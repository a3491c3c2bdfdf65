"""A dataclass is read from JSON only if every field is there and of its type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from poseedge.records import record


@dataclass(frozen=True)
class Inner:
    frames: tuple[int, ...]
    name: str | None = None


@dataclass(frozen=True)
class Outer:
    size: int
    share: float
    kind: Literal["one", "two"]
    inner: Inner
    table: dict[str, int]
    anything: Any = None


WHOLE = {"size": 3, "share": 0.5, "kind": "one", "inner": {"frames": [1, 2]}, "table": {"a": 1}}


def test_whole_table_becomes_the_dataclass() -> None:
    assert record(Outer, WHOLE) == Outer(3, 0.5, "one", Inner((1, 2)), {"a": 1})


def test_whole_number_may_stand_for_a_float() -> None:
    assert record(Outer, {**WHOLE, "share": 1}).share == 1.0


def test_value_that_may_be_none_or_anything_is_taken_so() -> None:
    found = record(Outer, {**WHOLE, "inner": {"frames": [], "name": None}, "anything": [1, {"b": 2}]})
    assert (found.inner.name, found.anything) == (None, [1, {"b": 2}])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": "3"}, "size should be int, found '3'"),
        ({"size": True}, "size should be int, found True"),
        ({"size": 3.0}, "size should be int, found 3.0"),
        ({"share": None}, "share should be float, found None"),
        ({"kind": "three"}, "kind should be one of one, two, found 'three'"),
        ({"kind": []}, r"kind should be one of one, two, found \[\]"),
        ({"inner": [1]}, r"inner should be a table, found \[1\]"),
        ({"inner": {}}, "inner.frames is missing"),
        ({"inner": {"frames": [1, "2"]}}, r"inner\.frames\[1\] should be int, found '2'"),
        ({"inner": {"frames": 3}}, r"inner\.frames should be tuple, found 3"),
        ({"inner": {"frames": [], "name": 3}}, "inner.name should be str, found 3"),
        ({"table": {"a": "b"}}, "table.a should be int, found 'b'"),
        ({"table": ["a"]}, "table should be dict"),
        ({"more": 1}, "more is unknown"),
    ],
)
def test_first_wrong_field_is_named(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        record(Outer, {**WHOLE, **change})


def test_what_is_no_table_is_told() -> None:
    with pytest.raises(ValueError, match="it should be a table, found 3"):
        record(Outer, 3)
