"""The precisions of a network are timed as a bundle's runtime runs them, and the table keeps what was measured before."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
from onnx import numpy_helper
from typer.testing import CliRunner

from benchmarks import compare_precisions as module
from benchmarks.compare_precisions import affordable_evicted, compare, int8_share, measure, place_of, reached
from benchmarks.networks import Row, deterministic, metadata
from poseedge.errors import PoseedgeError
from poseedge.fold import fold
from poseedge.graph.graph import Graph
from poseedge.graph.trace import simplify, trace
from poseedge.models.network import LiftingNetwork

pytestmark = pytest.mark.slow

app = typer.Typer()
app.command()(compare)


def small(name: str) -> LiftingNetwork:
    return deterministic(name, channel=48, layers=1, d_hid=32)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the small network's graphs lie."""
    return tmp_path_factory.mktemp("results") / "graphs"


@pytest.fixture(scope="module")
def row(graphs: Path) -> dict[str, Any]:
    """Measure a small network into a record that holds another already."""
    folder = graphs.parent
    page = folder / "page.md"
    page.write_text("<!-- precisions -->\n<!-- end of precisions -->\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "deterministic", small)
        arguments = ["--model", "htnet", "--budget", "0", "--results", str(folder), "--page", str(page)]
        arguments += ["--graphs", str(graphs), "--evicted"]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "| htnet |" in page.read_text()
    found: dict[str, Any] = json.loads(next(folder.glob("precisions_*.json")).read_text())["networks"]["htnet"]
    return found


def test_every_precision_and_the_floor_are_timed_with_warm_and_with_evicted_caches(row: dict[str, Any]) -> None:
    forms = {"naive", "fp32", "fp32 cpu", "fp16", "int8", "int8 cpu", "int8 steady", "floor"}
    if find_spec("openvino"):
        forms |= {"openvino fp32", "openvino fp32 cpu", "openvino int8", "openvino floor"}
    assert row["latency_ms"].keys() == row["latency_evicted_ms"].keys() == forms
    assert all(spent["p50"] > 0 for spent in row["latency_ms"].values())


def test_forms_for_a_cpu_are_those_that_its_target_writes(row: dict[str, Any], graphs: Path) -> None:
    for form in ("fp32 cpu", "int8 cpu"):
        graph = Graph.load(place_of(graphs, "htnet", form))
        assert graph.opset == 23
        assert any(graph.of("Attention"))
        assert any(graph.of("Gelu"))  # which opset 17 has not
    assert any(node.op_type == "DynamicQuantizeMatMul" for node in graph.nodes)


def test_a_float32_form_that_differs_is_refused_before_timing(row: dict[str, Any], graphs: Path, tmp_path: Path) -> None:
    shutil.copytree(graphs, tmp_path / "graphs")
    network = small("htnet")
    path = place_of(tmp_path / "graphs", "htnet", "fp32 cpu")
    graph = Graph.load(path)
    weight = graph.stored["head.weight"]
    weight.CopyFrom(numpy_helper.from_array(1.1 * numpy_helper.to_array(weight), weight.name))
    graph.save(path, metadata(network, "fp32", graph))
    with pytest.raises(PoseedgeError, match="htnet: fp32 cpu and the naive form differ"):
        measure(network, tmp_path / "graphs", 0.0, ["fp32", "fp32 cpu"])


def test_an_unknown_form_is_refused() -> None:
    result = CliRunner().invoke(app, ["--form", "fp64"])
    assert "no such form: fp64" in str(result.exception)


def timed(**latency_ms: float) -> Row:
    return {"latency_ms": {form.replace("_", " "): {"p50": spent} for form, spent in latency_ms.items()}}


def test_aims_are_held_against_the_best_form_as_the_table_shows_it() -> None:
    row = timed(naive=2.0, fp32=1.7, fp32_cpu=1.6, openvino_fp32=1.65, int8=1.01, int8_steady=0.5, floor=1.4, openvino_floor=1.2)
    assert reached(row) == ["0.80 fp32 cpu, met", "0.51 int8, missed", "0.60"]


def test_what_was_not_timed_has_a_dash() -> None:
    assert reached(timed(naive=2.0, fp32=1.0)) == ["0.50 fp32, met", "-", "-"]


def test_time_with_evicted_caches_is_kept_within_the_budget() -> None:
    row = timed(naive=10.0, fp32=10.0)
    assert affordable_evicted(row, 1.6, lambda: None).rounds in range(8, 11)  # 8 calls of 20 ms each round
    assert affordable_evicted(row, 0.0, lambda: None).rounds == 1


def test_files_shrink_with_the_precision(row: dict[str, Any]) -> None:
    sizes = row["file_bytes"]
    assert sizes["fp32"] > max(sizes["fp16"], sizes["int8"])


def test_share_is_what_is_left_of_the_linear_work_when_layers_are_kept() -> None:
    network = small("htnet")
    graph, _ = simplify(trace(fold(network), network.frames, network.in_channels, 17, free_batch=False))
    assert 0 < int8_share(graph, ["blocks.0.mlp.*"]) < int8_share(graph, []) <= 1
