"""What the pages tell people to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from poseedge.cli.commands import VERBS as ALL_VERBS
from poseedge.cli.commands import application
from poseedge.device.runner.main import parse_arguments
from poseedge.targets.boards import load_target

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(application())
VERBS = set(ALL_VERBS)


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request: pytest.FixtureRequest) -> str:
    return Path(request.param).read_text()


def test_targets_exist(page: str) -> None:
    for name in re.findall(r"--target ([a-z0-9.-]+)", page) + re.findall(r"\bjetson-[a-z0-9.-]+-jp[0-9.]*[0-9]", page):
        assert load_target(name)


def test_verbs_exist(page: str) -> None:
    typed = re.findall(r"^    poseedge (\S+)", page, re.MULTILINE) + re.findall(r"`poseedge ([a-z]+)", page)
    assert set(typed) <= VERBS


def test_commands_can_be_typed(page: str) -> None:
    for line in re.findall(r"^    poseedge (.+)$", page.replace("\\\n", ""), re.MULTILINE):
        command: Any = COMMANDS
        words = shlex.split(line, comments=True)
        while hasattr(command, "commands"):  # a group
            command = command.commands[words.pop(0)]
        command.make_context(line, words)  # raises for an option that is not there, and for one without its value


def test_runs_of_a_bundle_can_be_typed(page: str) -> None:
    for line in re.findall(r"(?:^    |`)python3 run\.py([^`\n]*)", page, re.MULTILINE):
        assert parse_arguments(shlex.split(line, comments=True))


def test_pages_that_are_named_exist(page: str) -> None:
    for name in re.findall(r"`((?:[a-z_]+/)?[a-z0-9-]+\.md)`", page):
        assert (ROOT / name).is_file() or (ROOT / "docs" / name).is_file(), name
