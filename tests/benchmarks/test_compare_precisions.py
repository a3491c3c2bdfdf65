"""The precisions of a network are timed as a bundle's runtime runs them, and the table keeps what was measured before."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import compare_precisions as module
from benchmarks.compare_precisions import compare, int8_share
from benchmarks.networks import deterministic
from poseedge.fold import fold
from poseedge.graph.trace import simplify, trace
from poseedge.models.network import LiftingNetwork

pytestmark = pytest.mark.slow

app = typer.Typer()
app.command()(compare)


def small(name: str) -> LiftingNetwork:
    return deterministic(name, channel=48, layers=1, d_hid=32)


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Measure a small network into a record that holds another already."""
    folder = tmp_path_factory.mktemp("results")
    page = folder / "page.md"
    page.write_text("<!-- precisions -->\n<!-- end of precisions -->\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "deterministic", small)
        arguments = ["--model", "htnet", "--budget", "0", "--results", str(folder), "--page", str(page)]
        arguments += ["--graphs", str(folder / "graphs")]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "| htnet |" in page.read_text()
    found: dict[str, Any] = json.loads(next(folder.glob("precisions_*.json")).read_text())["networks"]["htnet"]
    return found


def test_every_precision_is_timed(row: dict[str, Any]) -> None:
    forms = ["naive", "fp32", "fp16", "int8", "int8 cpu", "int8 steady"]
    elsewhere = ["openvino fp32", "openvino int8"] if find_spec("openvino") else []
    assert list(row["latency_ms"]) == forms + elsewhere
    assert all(spent["p50"] > 0 for spent in row["latency_ms"].values())


def test_files_shrink_with_the_precision(row: dict[str, Any]) -> None:
    sizes = row["file_bytes"]
    assert sizes["fp32"] > max(sizes["fp16"], sizes["int8"])


def test_share_is_what_is_left_of_the_linear_work_when_layers_are_kept() -> None:
    network = small("htnet")
    graph, _ = simplify(trace(fold(network), network.frames, network.in_channels, 17, free_batch=False))
    assert 0 < int8_share(graph, ["blocks.0.mlp.*"]) < int8_share(graph, []) <= 1
