"""``poseedge sensitivity`` ranks layers, and names those to relieve in the recipe's own words."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.user import Command, assert_refused
from tests.data.folders import MINI

SMALL = ("--data", MINI, "--frames", 12, "--windows", 8)


def test_budget_names_layers_for_the_recipe_and_draws(poseedge: Command, small_bundle: Path, tmp_path: Path) -> None:
    outcome = poseedge("sensitivity", small_bundle, *SMALL, "--budget", 1000, "--plot", tmp_path / "rank.png")
    assert outcome.status == 0, outcome.err
    assert "spatial.0.mlp.fc1" in outcome.out
    assert "keep = []" in outcome.out
    assert (tmp_path / "rank.png").is_file()


def test_json_holds_ranking_and_search(poseedge: Command, small_bundle: Path) -> None:
    outcome = poseedge("sensitivity", small_bundle, *SMALL, "--jitter", 1000, "--two-step", "--json")
    content = json.loads(outcome.out)
    assert {"name", "share", "mean_mm", "p99_mm", "jitter_mm", "delta_mpjpe_mm"} <= content["layers"][0].keys()
    assert content["search"]["two_step"] == []


def test_file_that_is_no_graph_is_refused(poseedge: Command, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08\x12\xff")
    assert_refused(poseedge("sensitivity", tmp_path / "net.onnx"), "cannot be read", "truncated")
