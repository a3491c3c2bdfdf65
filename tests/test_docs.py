"""What the pages tell people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from poseedge.cli.app import app
from poseedge.deploy.targets import load_target

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
VERBS = {str(command.name) for command in app.registered_commands} | {str(group.name) for group in app.registered_groups}


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request: pytest.FixtureRequest) -> str:
    return Path(request.param).read_text()


def test_targets_exist(page: str) -> None:
    for name in re.findall(r"--target ([a-z0-9.-]+)", page) + re.findall(r"\bjetson-[a-z0-9.-]+-jp[0-9.]*[0-9]", page):
        assert load_target(name)


def test_verbs_exist(page: str) -> None:
    typed = re.findall(r"^    poseedge (\S+)", page, re.MULTILINE) + re.findall(r"`poseedge ([a-z]+)", page)
    assert set(typed) <= VERBS


def test_pages_that_are_named_exist(page: str) -> None:
    for name in re.findall(r"`((?:[a-z_]+/)?[a-z0-9-]+\.md)`", page):
        assert (ROOT / name).is_file() or (ROOT / "docs" / name).is_file(), name
