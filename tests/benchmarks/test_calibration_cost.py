"""What calibration takes is measured on the commands themselves, with an empty cache each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import calibration_cost as module
from benchmarks.calibration_cost import calibration_cost, commands
from benchmarks.command_cost import POSEEDGE, cost_of_command
from poseedge.errors import PoseedgeError

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")

app = typer.Typer()
app.command()(calibration_cost)


def test_every_method_and_the_ranking_are_measured(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def cost(name: str, command: list[str], environment: dict[str, str]) -> tuple[float, int]:
        seen.append(environment["XDG_CACHE_HOME"])
        return 2.0 * len(seen), 10**9

    monkeypatch.setattr(module, "cost_of_command", cost)
    monkeypatch.setattr(module, "machine_slug", lambda _: "here")
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- calibration -->\nold\n<!-- end of calibration -->\nmore\n")
    graph = small_bundle / "nanohtnet_fp32.onnx"
    result = CliRunner().invoke(app, [str(graph), "--results", str(tmp_path), "--page", str(page)])
    assert result.exit_code == 0, result.output
    assert len(set(seen)) == 5
    rows = json.loads((tmp_path / "calibration_nanohtnet_here.json").read_text())["commands"]
    assert [row["command"] for row in rows] == [
        *(f"quantize, {m}" for m in ("minmax", "percentile", "entropy", "mse")),
        "sensitivity",
    ]
    assert "| sensitivity | 10.0 | 1.00 |" in page.read_text()
    assert page.read_text().endswith("<!-- end of calibration -->\nmore\n")


def test_commands_run(small_bundle: Path, tmp_path: Path) -> None:
    graph = small_bundle / "nanohtnet_fp32.onnx"
    name, arguments = next(iter(commands(graph, 4, 12, tmp_path / "int8.onnx")))
    seconds, peak = cost_of_command(name, [*POSEEDGE, *arguments], {"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert (tmp_path / "int8.onnx").is_file()
    assert list((tmp_path / "cache").rglob("*.json"))
    assert seconds > 0
    assert peak > graph.stat().st_size


def test_failed_command_is_an_error() -> None:
    with pytest.raises(PoseedgeError, match="that failed with status 1: no such thing"):
        cost_of_command("that", [sys.executable, "-c", "raise SystemExit('no such thing')"])
