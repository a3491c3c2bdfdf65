"""The picture of the ranges names its rows by the layers that read a tensor."""

from __future__ import annotations

from pathlib import Path

from poseedge.int8.placement import place
from poseedge.int8.range_plot import LONGEST, draw_ranges, row_names
from poseedge.int8.ranges import measure_ranges
from tests.support.graphs import simplified, windows


def test_rows_are_named_by_all_layers_that_read_a_tensor() -> None:
    placement = place(simplified(17)[0])
    names = row_names(placement)
    assert set(names) == {node.input[0] for node in placement.layers.values()}
    assert names[placement.layers["spatial.0.mlp.fc2"].input[0]] == "spatial.0.mlp.fc2"
    assert max(map(len, names.values())) <= LONGEST


def test_drawing_is_a_png(tmp_path: Path) -> None:
    graph = simplified(17)[0]
    placement = place(graph)
    draw_ranges(measure_ranges(graph, placement, windows(), "mse", 0.5), placement, "small", tmp_path / "ranges.png")
    assert (tmp_path / "ranges.png").read_bytes().startswith(b"\x89PNG")
