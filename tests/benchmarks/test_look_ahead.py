"""The tables of look-ahead and of a stream's cost are measured and recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import look_ahead, stream_cost
from poseedge.resources import resource


def test_every_way_is_measured_and_the_page_shows_it(small_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page, picture = tmp_path / "page.md", tmp_path / "plot.svg"
    page.write_text("before\n<!-- look-ahead -->\nold\n<!-- end of look-ahead -->\nafter\n")
    data = resource("calib_data", "mocap17-mini")
    look_ahead.measure(small_bundle, data, precision=["fp32"], every=4, results=tmp_path, page=page, picture=picture)
    rows = json.loads((tmp_path / "look_ahead_nanohtnet.json").read_text())["rows"]
    assert list(rows) == list(look_ahead.ways(14))
    assert all(found["fp32"][kind]["mpjpe"] > 0 for found in rows.values() for kind in look_ahead.KEYPOINTS)
    shown = page.read_text()
    assert shown.startswith("before\n")
    assert shown.endswith("after\n")
    assert all(f"| {name} | " in shown for name in rows)
    assert "old" not in shown
    drawn = picture.read_text()
    assert [drawn.count(f"<!-- fp32, {keypoints} keypoints -->") for keypoints in ("true", "detected")] == [1, 1]


def test_cost_of_a_stream_is_parted_into_network_and_rest(
    small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream_cost.measure(small_bundle, precision=["int8"], frames=20, results=tmp_path)
    report = json.loads(next(tmp_path.glob("stream_nanohtnet_*.json")).read_text())
    assert [(row["precision"], row["people"]) for row in report["rows"]] == [
        (each, people) for each in ("int8", "none") for people in (1, 2, 5)
    ]
    for row in report["rows"]:
        assert (row["network_ms_per_person"] > 0) == (row["precision"] != "none")
        assert 0 < row["own_p10_ms_per_person"] <= row["own_ms_per_person"] <= row["own_p90_ms_per_person"]
    assert "| int8 | 5 | " in capsys.readouterr().out
