"""``poseedge bench`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from poseedge.cli.verbs.bench import bench
from poseedge.errors import ArtefactError
from tests.support import samples

app = typer.Typer()
app.command()(bench)
runner = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with its checkpoint beside it."""
    root = tmp_path_factory.mktemp("bench")
    return samples.bundle(root / "bundle", samples.checkpoint(root / "small.pth"))


@pytest.mark.slow
def test_json_is_all_that_goes_to_standard_output(folder: Path) -> None:
    result = runner.invoke(app, [str(folder), "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [row["precision"] for row in rows] == ["fp32", "fp32", "int8"]


@pytest.mark.slow
def test_table_ends_with_the_next_command(folder: Path) -> None:
    result = runner.invoke(app, [str(folder), "--rounds", "1"])
    last = result.stdout.strip().splitlines()[-1]
    assert last.startswith(f"next: poseedge eval {folder} --precision ")


@pytest.mark.slow
def test_table_names_every_file_and_is_not_cut(folder: Path) -> None:
    result = runner.invoke(app, [str(folder), "--rounds", "1", "--evicted"])
    for text in ("small.pth", "fp32.onnx", "int8.onnx", "evicted", "MPJPE", "MFLOP", "peak RSS"):
        assert text in result.stdout
    assert "…" not in result.stdout


def test_report_is_also_written_to_a_file(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "results" / "report.json"
    result = runner.invoke(app, [str(folder / "fp32.onnx"), "--rounds", "1", "--json", "--output", str(output)])
    assert json.loads(output.read_text()) == json.loads(result.stdout)


def test_several_artefacts_share_one_measurement(folder: Path) -> None:
    result = runner.invoke(app, [str(folder / "fp32.onnx"), str(folder / "int8.onnx"), "--rounds", "1", "--json"])
    assert [Path(row["artefact"]).name for row in json.loads(result.stdout)["rows"]] == ["fp32.onnx", "int8.onnx"]


def test_artefact_that_does_not_exist_is_our_error(tmp_path: Path) -> None:
    assert isinstance(runner.invoke(app, [str(tmp_path / "none.onnx")]).exception, ArtefactError)


def test_bundle_that_was_tampered_with_is_our_error(tmp_path: Path) -> None:
    folder = samples.bundle(tmp_path / "bundle", samples.checkpoint(tmp_path / "small.pth"))
    (folder / "int8.onnx").write_bytes(b"x")
    assert isinstance(runner.invoke(app, [str(folder)]).exception, ArtefactError)


@pytest.mark.parametrize("option", ["--threads", "--batch", "--rounds"])
def test_zero_is_bad_usage(option: str) -> None:
    assert runner.invoke(app, ["a.onnx", option, "0"]).exit_code == 2


def test_help_gives_an_example() -> None:
    assert "poseedge bench build/nanohtnet" in runner.invoke(app, ["--help"]).stdout
