"""``poseedge doctor`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from poseedge.backends.backend import Probe
from poseedge.cli.verbs import doctor as module
from poseedge.cli.verbs.doctor import doctor
from poseedge.live.trained import bundled_network

WORKING = Probe("onnxruntime", True, "1", opens=(".onnx",))
app = typer.Typer()
app.command()(doctor)
runner = CliRunner()


def only(monkeypatch: pytest.MonkeyPatch, *probes: Probe) -> None:
    monkeypatch.setattr(module, "probes", lambda: list(probes))


def test_json_is_all_that_goes_to_standard_output() -> None:
    content = json.loads(runner.invoke(app, ["--json"]).stdout)
    assert content.keys() == {"machine", "backends", "compiler", "next"}
    assert any(backend["name"] == "onnxruntime" and backend["works"] for backend in content["backends"])


def test_table_ends_with_the_next_command() -> None:
    result = runner.invoke(app, [])
    assert result.exit_code == 0
    assert result.stdout.strip().splitlines()[-1].startswith("next: ")


def test_fixes_are_printed_with_their_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    only(
        monkeypatch,
        WORKING,
        Probe("torch", False, "none", "pip install 'poseedge[export]'"),
    )
    assert "'poseedge[export]'" in runner.invoke(app, []).stdout


def test_without_torch_the_next_command_needs_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    only(monkeypatch, WORKING, Probe("torch", False, "none", "fix"))
    assert f"next: poseedge bench {bundled_network()}" in runner.invoke(app, []).stdout


def test_machine_that_runs_no_bundle_exits_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Probe("onnxruntime", False, "none", "pip install onnxruntime", (".onnx",)), Probe("torch", True, "2"))
    result = runner.invoke(app, [])
    assert result.exit_code == 1
    assert "next: pip install onnxruntime" in result.stdout
