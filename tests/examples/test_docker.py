"""The Dockerfile holds together: what it copies is there and is all that a build needs, and it installs what the pages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from poseedge.device.runner.backends import PYCUDA
from poseedge.files import read_toml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "examples" / "docker" / "Dockerfile"
KNOWN = {"ARG", "FROM", "RUN", "ENV", "WORKDIR", "ENTRYPOINT", "COPY"}  # of Docker's instructions, those that are used


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, the rest of its line), comments left out and continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined)]


def given(name: str) -> str:
    """Return the default of a build argument."""
    arguments = dict(rest.partition("=")[::2] for word, rest in instructions() if word == "ARG")
    return arguments[name].strip('"')


def table() -> list[list[str]]:
    """Return the rows of the page's table of bases: JetPack, base, PYCUDA, PACKAGES, target."""
    page = (ROOT / "docs" / "device.md").read_text().split("## In a container")[1].split("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    return rows[2:]


def test_every_instruction_is_dockers_and_stages_are_named() -> None:
    assert {word for word, _ in instructions()} <= KNOWN
    stages = [rest.split() for word, rest in instructions() if word == "FROM"]
    assert stages == [["${BASE}", "AS", "runner"], ["runner", "AS", "poseedge"]]
    assert instructions()[0][0] == "ARG"  # what FROM reads must stand before it


def test_what_is_copied_is_there_and_is_all_that_the_package_is_built_of() -> None:
    copied = {source for word, rest in instructions() if word == "COPY" for source in rest.split()[:-1]}
    assert all((ROOT / source).exists() for source in copied)
    project = read_toml(ROOT / "pyproject.toml")
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    assert copied == needed | {*wheel["packages"], *wheel["force-include"]}


def test_variables_are_declared_in_the_stage_that_reads_them() -> None:
    declared: set[str] = set()
    for word, rest in instructions():
        if word == "FROM":
            declared = {"BASE", "PATH"}
        if word == "ARG":
            declared.add(rest.partition("=")[0])
        assert {name for name in re.findall(r"\$\{(\w+)\}", rest)} <= declared | {"BASE"}, rest


def test_the_pages_default_is_the_dockerfiles() -> None:
    rows = {row[0]: row[1:4] for row in table()}
    assert rows["6.1, 6.2"] == [given("BASE"), given("PYCUDA"), given("PACKAGES")]


@pytest.mark.parametrize(("jetpack", "python"), [("4.6", (3, 6)), ("5.1", (3, 8)), ("6.1, 6.2", (3, 10))])
def test_each_base_gets_the_pycuda_that_its_python_needs(jetpack: str, python: tuple[int, int]) -> None:
    [row] = [row for row in table() if row[0] == jetpack]
    below = next((version for newest, version in PYCUDA if python <= newest), "")
    assert row[2] == f"pycuda{below}"
    assert (row[4] == "runner") is (python < (3, 10))  # poseedge itself needs 3.10


def test_the_runner_starts_what_a_bundle_holds() -> None:
    entries = [rest for word, rest in instructions() if word == "ENTRYPOINT"]
    assert entries == ['["python3", "run.py"]', '["poseedge"]']
    assert ("WORKDIR", "/bundle") in instructions()
