"""One program repeats every recorded comparison."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmarks.__main__ import main, program, programs
from benchmarks.command_cost import POSEEDGE
from benchmarks.every import RECORDED, elsewhere, exporting, lacks, run_one
from poseedge.cli.commands import application
from poseedge.files import read_toml

ROOT = Path(__file__).parents[2]
RECORD = read_toml(RECORDED)
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "benchmarks").glob("*.md")), ROOT / "README.md"]


def takes(name: str, words: list[str]) -> None:
    """Raise if the program ``name`` does not take these words."""
    alone = typer.Typer()
    alone.command()(program(name))
    typer.main.get_command(alone).make_context(name, words)


def test_every_program_but_the_one_that_runs_them_all_is_recorded() -> None:
    assert {run["program"] for run in RECORD["run"]} == programs().keys() - {"every"}


@pytest.mark.slow
@pytest.mark.parametrize("run", RECORD["run"], ids=lambda run: run["program"])
def test_recorded_commands_can_be_typed(run: dict[str, Any]) -> None:
    bundles = dict.fromkeys(RECORD["bundle"], "b")
    for words in (run["arguments"], [*run["arguments"], *run.get("short", [])]):
        takes(run["program"], [word.format(data="d", folder="f", **bundles) for word in words])


@pytest.mark.slow
@pytest.mark.parametrize("bundle", RECORD["bundle"])
def test_bundles_are_made_by_a_command_that_can_be_typed(bundle: str) -> None:
    command = exporting(RECORD["bundle"][bundle], Path("b"), short=True)
    assert command[: len(POSEEDGE)] == list(POSEEDGE)
    verb: Any = typer.main.get_command(application())
    verb.commands["export"].make_context("export", command[len(POSEEDGE) + 1 :])


def test_commands_of_the_pages_can_be_typed() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert set(re.findall(r"python -m benchmarks ([a-z]\w+)", text)) <= programs().keys() | {"all"}
    lines = re.findall(r"^    python -m benchmarks ([a-z][^\n]*)", text, re.MULTILINE)
    assert len(lines) > 15
    for line in lines:
        name, *words = line.partition("#")[0].split()
        takes("every" if name == "all" else name, words)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({run["program"] for run in RECORD["run"]} - {"gpu"}))
def test_a_trial_records_nothing_in_the_repository(name: str, tmp_path: Path) -> None:
    options = elsewhere(program(name), tmp_path / "results", tmp_path)
    assert "--results" in options
    given = inspect.signature(program(name)).parameters
    assert all(str(ROOT) not in word for word in options)
    assert ("--page" in options) == ("page" in given and given["page"].default is not None)


@pytest.mark.slow
def test_unknown_program_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare_network"]) == 1
    assert "compare_networks" in capsys.readouterr().err


def test_what_the_machine_lacks_is_named() -> None:
    assert lacks({"needs": ["data"]}, None, short=False)
    assert not lacks({"needs": ["data"]}, Path("mocap17"), short=False)
    assert not lacks({"needs": ["data"]}, None, short=True)  # the bundled sample will do


@pytest.mark.slow
def test_exit_status_of_a_run_is_that_of_its_program(tmp_path: Path) -> None:
    missing = {"program": "calibration_cost", "arguments": ["{folder}/none.onnx"]}
    assert run_one(missing, tmp_path, short=True, folder=tmp_path) == 1
