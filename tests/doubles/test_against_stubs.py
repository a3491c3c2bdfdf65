"""The stand-ins know nothing that TensorRT 10.13 lacks, by name or by argument: what they let pass, its own stubs let pass."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from types import ModuleType
from typing import Any

import pytest

from tests.doubles.binding import Bound, Fake, PybindEnum
from tests.doubles.gpu import Gpu
from tests.doubles.presence import PRESENCE, present
from tests.doubles.stubs import published
from tests.doubles.tensorrt import make_tensorrt

RELEASE = (10, 13)
MACHINERY = {"fake", "trt"}  # of the stand-ins
Members = dict[str, list[tuple[str, ...]]]  # parameters of every overload; none for what is no method


@pytest.fixture(scope="module")
def stubs() -> dict[str, Members]:
    """Return every class of the published stubs with its own and inherited members; module variables stand under ''."""
    try:
        [text] = (text for name, text in published().items() if name.endswith("tensorrt.pyi"))
    except PackageNotFoundError:
        pytest.skip("tensorrt-stubs is not installed: pip install --no-deps tensorrt-stubs==10.13.0.35.1")
    tree = ast.parse(text)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found = {"": members(tree.body)}
    for name, node in classes.items():
        bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
        found[name] = {key: value for base in bases for key, value in members(classes[base].body).items()} | members(node.body)
    return found


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """Return the stand-in of that version."""
    return make_tensorrt(Fake("10.13.3.9", Gpu()))


def members(body: list[ast.stmt]) -> Members:
    """Return what a class or module defines."""
    found: Members = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(tuple(argument.arg for argument in node.args.args if argument.arg != "self"))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, [])
        elif isinstance(node, ast.ClassDef):
            found.setdefault(node.name, [])
    return found


def doubled(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the classes of the stand-in that follow one of TensorRT's, by its name."""
    for name, value in vars(module).items():
        if isinstance(value, type) and not name.startswith("_"):
            yield name, value


def test_every_member_is_one_of_tensorrts(module: ModuleType, stubs: dict[str, Members]) -> None:
    unknown = [
        f"{name}.{member}"
        for name, kind in doubled(module)
        for member in (kind.__members__ if issubclass(kind, PybindEnum) else vars(kind))
        if not member.startswith("_") and member not in MACHINERY | {"ready"} and member not in stubs.get(name, {})
    ]
    assert unknown == []
    assert {name for name in vars(module) if not name.startswith("_")} <= set(stubs) | set(stubs[""])


def test_every_method_takes_what_tensorrts_takes(module: ModuleType, stubs: dict[str, Members]) -> None:
    checked, wrong = 0, []
    for name, kind in doubled(module):
        for member, value in vars(kind).items():
            if not issubclass(kind, Bound) or member.startswith("_") or not inspect.isfunction(value):
                continue
            checked += 1
            takes = tuple(inspect.signature(value).parameters)[1:]
            if takes not in [overload[: len(takes)] for overload in stubs[name][member]]:
                wrong.append(f"{name}.{member}{takes}: TensorRT takes {stubs[name][member]}")
    assert not wrong, "\n".join(wrong)
    assert checked > 40


def test_what_the_presence_table_says_of_this_version_is_so(stubs: dict[str, Members]) -> None:
    names = {member: member.partition(".") for member in PRESENCE}
    said = {member: present(member, RELEASE) for member in PRESENCE}
    so = {
        member: (rest in stubs.get(first, {})) if rest else first in stubs or first in stubs[""]
        for member, (first, _, rest) in names.items()
    }
    assert said == so
