"""The comparison runs from bundle and checkpoint to a recorded table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.compare_nanohtnet import EAGER, FLOOR, NAIVE, PUBLISHED, compare
from benchmarks.naive import export_naive
from poseedge.bundle.manifest import Description
from poseedge.bundle.writing import write_bundle
from poseedge.errors import PoseedgeError
from poseedge.models.checkpoints import save_checkpoint
from poseedge.models.nanohtnet import NanoHTNet
from tests.support import golden, samples

app = typer.Typer()
app.command()(compare)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of the small network in one precision."""
    root = tmp_path_factory.mktemp("compare")
    network = golden.network("nanohtnet-small")
    assert isinstance(network, NanoHTNet)

    def fill(inside: Path) -> Description:
        export_naive(network, inside / "fp32.onnx")
        return samples.described(inside, samples.checkpoint(root / "small.pth"))

    write_bundle(root / "bundle", fill)
    return root / "bundle"


@pytest.mark.slow
def test_comparison_records_every_form_as_json_and_as_a_table(bundle: Path, tmp_path: Path) -> None:
    checkpoint = samples.checkpoint(tmp_path / "small.pth")
    arguments = [str(bundle), str(checkpoint), "--rounds", "1", "--results", str(tmp_path / "results")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (record,) = (tmp_path / "results").glob("nanohtnet_*.json")
    rows = json.loads(record.read_text())["rows"]
    assert [row["form"] for row in rows] == [EAGER, PUBLISHED, NAIVE, "poseedge fp32", FLOOR]
    assert rows[2]["ratio_to_naive"] == rows[1]["speedup_over_eager"] == 1.0
    assert all(row["latency_ms"]["n"] == row["latency_evicted_ms"]["n"] == 8 for row in rows)
    table = record.with_suffix(".md").read_text()
    assert all(f"| {row['form']} |" in table for row in rows)
    assert table in result.stdout


@pytest.mark.slow
def test_bundle_of_another_checkpoint_is_refused_before_timing(bundle: Path, tmp_path: Path) -> None:
    network = golden.network("nanohtnet-small")
    for parameter in network.parameters():
        parameter.data *= 1.1
    checkpoint = tmp_path / "other.pth"
    save_checkpoint(checkpoint, network, {})
    result = CliRunner().invoke(app, [str(bundle), str(checkpoint), "--rounds", "1", "--results", str(tmp_path)])
    assert isinstance(result.exception, PoseedgeError)
    assert list(tmp_path.glob("*.json")) == []
