"""Damage to a JSON or TOML document that is still one: values dropped, of another type, nested, renamed, swapped."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

from hypothesis import strategies as st

from poseedge.engines.facts import EngineFacts
from poseedge.lifter import LifterSpec

Content = Any


def nested(depth: int) -> list[Any]:
    """Return a list ``depth`` deep."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


WRONG: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, 2**70, -(2**70), 10**400, 0.5, -0.5, 1e308, math.nan, math.inf),
    *("", "x", "3", "a.jpg", "..", "../x", "/etc/passwd", "\0", "\ud800", "a" * 300, "\u00e9" * 200, "*", "fp32", "0" * 64),
    *([], {}, [0], [1, 2, 3], ["x"], [[]], {"x": 0}, {"": {}}, [None], nested(40), nested(200), [1, "x", None, {}]),
)


def places(content: Content) -> list[tuple[Any, ...]]:
    """Return the path of every value in a document."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [(), *((key, *rest) for key, value in pairs for rest in places(value))]


@st.composite
def damaged(draw: st.DrawFn, whole: Content) -> Content:
    """Return a copy of ``whole`` with one to three things wrong."""
    content = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(content)))
        wrong = copy.deepcopy(draw(st.sampled_from(WRONG)))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                content = wrong
            continue
        *way, last = path
        holder = content
        for key in way:
            holder = holder[key]
        action = draw(st.sampled_from(["drop", "replace", "wrap", "rename", "swap"]))
        if action == "drop":
            del holder[last]
        elif action == "wrap":
            holder[last] = draw(st.sampled_from([[holder[last]], {"x": holder[last]}, [holder[last]] * 2]))
        elif action == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from(["x", "", "../x", last.upper(), "a" * 300]))] = holder.pop(last)
        elif action == "swap":
            other = draw(st.sampled_from([place for place in places(content) if place]))
            holder[last] = copy.deepcopy(at(content, other))
        else:
            holder[last] = wrong
    return content


def at(content: Content, path: tuple[Any, ...]) -> Content:
    """Return the value at ``path``."""
    for key in path:
        content = content[key]
    return content


def as_toml(content: Content) -> str:
    """Return a table as TOML, as far as TOML can say it: in inline tables, nothing for None."""
    if not isinstance(content, dict):
        return f"x = {toml_value(content)}\n"
    return "".join(f"{json.dumps(str(key))} = {toml_value(value)}\n" for key, value in content.items() if value is not None)


def toml_value(value: Any) -> str:
    """Return one value as TOML has it."""
    if isinstance(value, dict):
        inner = (f"{json.dumps(str(key))} = {toml_value(entry)}" for key, entry in value.items() if entry is not None)
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(entry) for entry in value if entry is not None) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return '""' if value is None else json.dumps(value)


ENGINE = EngineFacts(
    identity={
        **{"onnx_sha256": "0" * 64, "tensorrt": "10.3.0", "cuda": "12.6", "driver": "540.4", "sm": "sm_87", "gpu": "Orin"},
        **{"board": None, "options": {"version_compatible": False}, "route": {}, "calibration": None},
    },
    graph="../a.onnx",
    spec=LifterSpec("sample", 5, (0, 1, 2, 3, 4), "fp16", 1),
    plan_sha256="0" * 64,
    build_s=1.0,
)
