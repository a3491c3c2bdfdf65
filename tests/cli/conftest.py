"""The command, run in the test's own process, and what it is run on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from poseedge.cli.app import main
from tests.support.user import Command, Outcome


@pytest.fixture
def poseedge(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Return the command, run in this process from an empty folder."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["poseedge", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as exit_status:
            status = int(exit_status.code or 0)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def data(export_inputs: Path) -> Path:
    return export_inputs / "data"


@pytest.fixture
def inputs(export_inputs: Path) -> list[object]:
    """Return the options of a small export."""
    options = {"--recipe": "small.toml", "--checkpoint": "small.pth", "--data": "data", "--calib": "data"}
    return ["--model", "nanohtnet", *(word for option, name in options.items() for word in (option, export_inputs / name))]
