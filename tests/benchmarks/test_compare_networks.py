"""The comparison of all networks runs family by family, and its table holds whatever has been measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks import compare_networks
from benchmarks.compare_networks import affordable, compare, measure
from benchmarks.naive import export_naive
from benchmarks.networks import FAMILIES, deterministic
from poseedge.errors import PoseedgeError
from poseedge.models.network import LiftingNetwork
from poseedge.models.registry import lifting_names

pytestmark = pytest.mark.slow

MOTIONBERT = {"dim_feat": 16, "dim_rep": 16, "depth": 2, "maxlen": 9}
SMALL: dict[str, dict[str, Any]] = {
    "htnet": {"channel": 24, "layers": 1, "d_hid": 32},
    "motionbert": MOTIONBERT,
    "hot_motionbert": MOTIONBERT | {"token_num": 3},
}

app = typer.Typer()
app.command()(compare)


def small(name: str) -> LiftingNetwork:
    return deterministic(name, **SMALL[name])


def test_every_lifting_network_is_compared_in_one_family_that_its_plain_one_leads() -> None:
    assert sorted(name for family in FAMILIES for name in family) == lifting_names()
    assert ("mixste", "hot_mixste", "tpc_mixste") in FAMILIES
    assert ("nanohtnet",) in FAMILIES


def test_weights_are_the_same_every_time_and_none_is_trivial() -> None:
    one, other = small("htnet").state_dict(), small("htnet").state_dict()
    for key, value in one.items():
        assert value.equal(other[key])
        assert not (value == 0).any()
        assert not (value == 1).any()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run two families after each other, as small networks."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_networks, "deterministic", small)
        page = folder / "page.md"
        page.write_text("<!-- networks -->\n<!-- end of networks -->\n")
        for model in ("htnet", "hot_motionbert"):
            options = ["--results", str(folder), "--page", str(page)]
            arguments = ["--model", model, "--threads", "1", "--budget", "0", *options]
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, result.output
    return folder


def test_a_network_is_recorded_with_its_family_and_beside_the_others(results: Path) -> None:
    (file,) = results.glob("networks_*.json")
    rows = json.loads(file.read_text())["networks"]
    assert list(rows) == ["htnet", "motionbert", "hot_motionbert"]
    for row in rows.values():
        assert row["ratio"] == row["latency_ms"]["folded"]["p50"] / row["latency_ms"]["naive"]["p50"]
        assert min(row["flops"].values()) > 0
        assert row["max_difference_m"] <= 1e-4


def test_table_holds_all_families_and_sets_pruned_networks_against_the_plain_one(results: Path) -> None:
    (table,) = results.glob("networks_*.md")
    assert table.read_text().partition("\n\n")[2] in (results / "page.md").read_text()
    lines = [line for line in table.read_text().splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0].lstrip("| ") for line in lines if "---" not in line] == [
        *("network", "htnet", "motionbert", "hot_motionbert"),
        *("network", "hot_motionbert"),
    ]
    assert lines[-1].split(" | ")[1] == "motionbert"


def test_a_name_that_no_network_has_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match="unknown model 'htnett'"):
        compare(["htnett"], results=tmp_path)


def test_forms_that_differ_are_refused_before_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    def export_another(network: LiftingNetwork, path: Path) -> None:
        other = small("htnet")
        for parameter in other.parameters():
            parameter.data *= 1.1
        export_naive(other, path)

    monkeypatch.setattr(compare_networks, "export_naive", export_another)
    with pytest.raises(PoseedgeError, match="folded and naive form differ"):
        measure({"htnet": small("htnet")}, threads=1, budget_s=0)


@pytest.mark.parametrize(("budget_s", "rounds", "calls"), [(1e9, 100, 8), (0.0, 5, 1)])
def test_budget_decides_how_often_each_form_is_called(budget_s: float, rounds: int, calls: int) -> None:
    work = np.ones(10)
    schedule = affordable({"one": work.sum, "other": work.mean}, budget_s)
    assert (schedule.rounds, schedule.calls) == (rounds, calls)
