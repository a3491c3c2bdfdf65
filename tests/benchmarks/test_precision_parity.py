"""What a precision costs a trained network is read from its export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.networks import deterministic
from benchmarks.precision_parity import compare
from poseedge.errors import PoseedgeError
from poseedge.models.checkpoints import save_checkpoint

pytestmark = pytest.mark.slow

app = typer.Typer()
app.command()(compare)


def test_network_with_a_checkpoint_gets_a_row(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pth", deterministic("htnet", channel=48, layers=1, d_hid=32), {})
    (tmp_path / "htnet").mkdir()
    (tmp_path / "last.pth").rename(tmp_path / "htnet" / "last.pth")
    page = tmp_path / "page.md"
    page.write_text("<!-- parity -->\n<!-- end of parity -->\n")
    result = CliRunner().invoke(app, [str(tmp_path), "--every", "50", "--results", str(tmp_path), "--page", str(page)])
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "precision_parity.json").read_text())["networks"]
    assert list(rows) == ["htnet"]
    found = rows["htnet"]["against_reference"]
    assert 0 < found["fp16"]["distance_mm"]["mean"] < found["int8"]["distance_mm"]["mean"]
    assert "| htnet | " in page.read_text()


def test_a_folder_without_trained_networks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match="no trained network"):
        compare(tmp_path, results=tmp_path)
