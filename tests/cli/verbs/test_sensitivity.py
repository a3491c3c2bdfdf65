"""``poseedge sensitivity`` ranks layers, and names those to relieve in the recipe's own words."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from poseedge.int8.placement import Placement
from tests.support.folders import MINI
from tests.support.user import Command, assert_refused

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


def test_search_by_latency_keeps_slower_layers_float_and_says_so(
    poseedge: Command, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def times(model: onnx.ModelProto, int8: onnx.ModelProto, placement: Placement) -> dict[str, float]:
        return {name: -0.002 if name == "spatial.0.mlp.fc1" else 0.003 for name in placement.layers}

    monkeypatch.setattr("poseedge.cli.verbs.sensitivity.saved_ms", times)
    outcome = poseedge("sensitivity", small_bundle, *SMALL, "--budget", 1000, "--by", "latency")
    assert outcome.status == 0, outcome.err
    assert 'keep = ["spatial.0.mlp.fc1"]' in outcome.out
    assert outcome.out.count("slower: stays float") == 1
    assert "each timed alone, take 48 us less than in float" in outcome.out


def test_what_search_by_latency_cannot_do_is_refused(poseedge: Command, small_bundle: Path) -> None:
    assert_refused(poseedge("sensitivity", small_bundle, "--by", "latensy"), "unknown --by 'latensy'", "did you mean 'latency'?")
    outcome = poseedge("sensitivity", small_bundle, "--by", "latency", "--two-step")
    assert_refused(outcome, "--by latency goes without --two-step", "keep float")


def test_file_that_is_no_graph_is_refused(poseedge: Command, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08\x12\xff")
    assert_refused(poseedge("sensitivity", tmp_path / "net.onnx"), "not a readable ONNX file", "truncated")
