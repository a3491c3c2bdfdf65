"""Look-ahead 0 is measured in every form and view, and recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import causal
from poseedge.data.cameras import denormalize_screen
from poseedge.live.trained import TrainedOn
from poseedge.live.view import PersonView, Shot, Sights
from tests.support import recorded


def test_fixed_view_shows_the_first_window_as_the_person_s_view_does_and_later_ones_as_then() -> None:
    shot = Shot(*recorded.SIZE)
    fixed, usual = causal.FixedView(shot, TrainedOn()), PersonView(shot, TrainedOn())
    px = recorded.pixels(20)
    first, later = Sights.of(np.repeat(px[:1], 27, axis=0)), Sights.of(px[270:297])
    (screen, turn), (wanted, aimed) = fixed.see(first), usual.see(first)
    np.testing.assert_allclose(screen, wanted, rtol=0, atol=1e-5)
    assert turn is not None
    assert aimed is not None
    np.testing.assert_array_equal(turn, aimed)
    moved, again = fixed.see(later)
    assert again is turn
    assert np.abs(moved - usual.see(later)[0]).max() > 0.02  # the person has walked


def test_projective_map_is_found_of_points_in_general_position() -> None:
    rng = np.random.default_rng(0)
    wanted = np.eye(3) + 0.1 * rng.normal(size=(3, 3))
    points = denormalize_screen(rng.uniform(-1, 1, (17, 2)), 1000, 1000)
    seen = np.concatenate([points / 1000, np.ones((17, 1))], axis=1) @ wanted.T
    found = causal.projective(points / 1000, seen[:, :2] / seen[:, 2:])
    np.testing.assert_allclose(found / found[2, 2], wanted / wanted[2, 2], rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_every_form_is_measured_and_the_page_shows_it(small_bundle: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- causal -->\nold\n<!-- end of causal -->\nafter\n")
    data = Path(__file__).parents[2] / "calib_data" / "mocap17-mini"
    causal.measure([small_bundle], data, every=8, times=False, results=tmp_path, page=page)
    rows = json.loads((tmp_path / "causal.json").read_text())["rows"]
    assert list(rows) == [f"small, {precision}" for precision in ("fp32", "fp16", "int8")]
    assert all(row["views"]["person"]["detected"]["mpjpe"] > 0 and row["flops"] > 0 for row in rows.values())
    shown = page.read_text()
    assert shown.startswith("before\n")
    assert shown.endswith("after\n")
    assert "| small, int8 | 27 |" in shown
