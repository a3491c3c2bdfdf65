"""Scaling leaves out what takes too long, and draws what it measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scaling import BATCHES, PEOPLE, draw, markdown
from benchmarks.scaling_calls import measure
from tests.support.engines import write_graph


def test_latency_and_memory_of_each_size(tmp_path: Path) -> None:
    path = str(write_graph(tmp_path / "small.onnx"))
    found = measure({"1": (path, 1), "4": (path, 4)}, budget=0.001, longest=60)
    assert list(found) == ["1", "4"]
    assert all(point["ms"] > 0 for point in found.values())
    assert found["1"]["peak_bytes"] <= found["4"]["peak_bytes"]


def test_sizes_that_take_too_long_are_left_out_but_for_the_first(tmp_path: Path) -> None:
    path = str(write_graph(tmp_path / "small.onnx"))
    assert list(measure({"1": (path, 1), "4": (path, 4)}, budget=0.001, longest=0)) == ["1"]


@pytest.mark.slow
def test_tables_and_figures_hold_what_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    sizes = {"batch": BATCHES[:3], "window": (27, 243), "people, one call": PEOPLE, "people, one call each": PEOPLE}
    kinds = {kind: {str(size): {"ms": 2.0 * size, "peak_bytes": 5e7 + size} for size in each} for kind, each in sizes.items()}
    rows = {"nanohtnet": {**kinds, "made": "then", "note": ""}}
    table = markdown(rows)
    assert "| nanohtnet | 2 | 2 | 2 | - |" in table  # milliseconds for each window of 1, 2, 4; nothing of 8
    assert "| nanohtnet | 54 | - | 486 | - |" in table  # windows of 27 and 243 frames
    draw(rows, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"scaling_{kind}.png" for kind in ("batch", "window", "people")}
