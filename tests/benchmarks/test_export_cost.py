"""What an export takes is measured on the command itself, with all processes that it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import export_cost as module
from benchmarks.command_cost import resident_bytes
from benchmarks.export_cost import cost_of, export_cost
from benchmarks.networks import deterministic
from poseedge.errors import PoseedgeError
from poseedge.models.network import LiftingNetwork

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")

BALLAST_MB = 200
HOLD = f"import sys; held = bytearray(b'x') * ({BALLAST_MB} << 20); print('ready', flush=True); sys.stdin.read()"

app = typer.Typer()
app.command()(export_cost)


def small(name: str) -> LiftingNetwork:
    return deterministic(name, channel=24, layers=1, d_hid=32)


@pytest.mark.slow
def test_memory_of_child_processes_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        own_and_child, child_alone = resident_bytes(os.getpid()), resident_bytes(child.pid)
        child.communicate()
    assert own_and_child > child_alone > BALLAST_MB << 20


def test_process_that_has_ended_holds_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert resident_bytes(child.pid) == 0


@pytest.mark.slow
def test_table_holds_what_was_exported_before_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "deterministic", small)
    earlier = {"seconds": 9.0, "peak_bytes": 10**9, "file_bytes": 10**8, "opset": 17, "every": 350, "note": "", "made": "then"}
    monkeypatch.setattr(module, "machine_slug", lambda _: "here")
    (tmp_path / "export_here.json").write_text(json.dumps({"networks": {"mixste": earlier}}))
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- export -->\nold\n<!-- end of export -->\nmore\n")
    result = CliRunner().invoke(app, ["--model", "htnet", "--results", str(tmp_path), "--page", str(page)])
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "export_here.json").read_text())["networks"]
    assert list(rows) == ["htnet", "mixste"]
    assert rows["mixste"] == earlier
    assert rows["htnet"]["opset"] == 17
    assert rows["htnet"]["peak_bytes"] > rows["htnet"]["file_bytes"] > 0
    table = (tmp_path / "export_here.md").read_text()
    assert all(f"| {name} |" in table for name in rows)
    body = table.partition("\n\n")[2]
    assert page.read_text() == f"# Page\n\n<!-- export -->\n{body}<!-- end of export -->\nmore\n"


def test_failed_export_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXPORT", [sys.executable, "-c", "raise SystemExit('no such thing')"])
    monkeypatch.setattr(module, "deterministic", small)
    with pytest.raises(PoseedgeError, match="htnet: export failed with status 1: no such thing"):
        cost_of("htnet", 350)
