"""The table of the demo's speed is measured and recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import demo_speed
from benchmarks.demo_speed import Case
from tests.support.motion import VIDEO

pytest.importorskip("av")
pytestmark = pytest.mark.slow


def test_every_case_is_timed_and_the_page_shows_it(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- demo speed -->\nold\n<!-- end of demo speed -->\nafter\n")
    cases = Case(2, "int8", 1, False), Case(1, "int8", 1, False), Case(1, "fp32", 1, True), Case(1, "int8", 1, True, live=True)
    monkeypatch.setattr(demo_speed, "CASES", cases)
    demo_speed.measure(small_bundle, VIDEO, frames=12, rounds=1, results=tmp_path, page=page)
    poses, video, live = json.loads(next(tmp_path.glob("demo_*.json")).read_text())["rows"]
    assert poses["ms"].keys() == {"read", "detect", "lift"}
    assert video["ms"].keys() == {"read", "detect", "lift", "shrink", "draw", "encode"}
    assert poses["fps"] > 0
    assert video["fps"] > 0
    assert live["delay_ms"]["p99"] >= live["delay_ms"]["p50"] > 100
    assert "old" not in page.read_text()
    assert "| 1 | int8 | 1 | poses | " in page.read_text()
