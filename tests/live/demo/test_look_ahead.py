"""Live poses wait a little, and what that costs is what was measured for these very weights."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from poseedge.files import read_toml
from poseedge.live.demo import look_ahead
from poseedge.live.demo.look_ahead import LIVE_LOOK_AHEAD, cost_mm, for_live, spoken
from poseedge.live.options import LiftOptions
from tests.support.linear_lifter import LinearLifter

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "benchmarks" / "results"
MEASURED = {"overlap (look-ahead 125)": 42.0, "look-ahead 15": 45.0, "look-ahead 3": 47.0, "look-ahead 0": 49.0}
FALSE_FRIENDS = {"centre slot": 1.0, "overlap, smoothed": 2.0, "look-ahead 0, smoothed": 3.0}


def lifter(weights: str = "a" * 64) -> LinearLifter:
    made = LinearLifter()
    made.spec = replace(made.spec, precision="int8", weights_sha256=weights)
    return made


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        name: {"int8": {"gt": {"mpjpe": 0.0}, "detected": {"mpjpe": mm}}, "fp32": {"detected": {"mpjpe": 0.0}}}
        for name, mm in (MEASURED | FALSE_FRIENDS).items()
    }
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    (folder / "look_ahead_linear.json").write_text(json.dumps({"weights_sha256": "a" * 64, "rows": rows}))
    monkeypatch.setattr(look_ahead, "resource", lambda *parts: tmp_path.joinpath(*parts))


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(("frames", "mm"), [(125, 0.0), (15, 3.0), (3, 5.0), (0, 7.0), (7, 4.0), (1, 6.0)])
def test_cost_is_measured_or_lies_between_measured_ones_by_the_logarithm(frames: int, mm: float) -> None:
    assert cost_mm(lifter(), frames) == pytest.approx(mm)


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("weights", ["b" * 64, ""])
def test_cost_of_other_weights_is_not_known(weights: str) -> None:
    assert cost_mm(lifter(weights), 15) is None


@pytest.mark.usefixtures("results")
def test_cost_of_another_precision_is_not_known() -> None:
    other = lifter()
    other.spec = replace(other.spec, precision="fp16")
    assert cost_mm(other, 15) is None


def test_live_look_ahead_is_small_unless_it_is_given() -> None:
    spec = lifter().spec
    assert for_live(LiftOptions(), spec).look_ahead == LIVE_LOOK_AHEAD
    assert for_live(LiftOptions(look_ahead=40), spec).look_ahead == 40
    assert for_live(LiftOptions(), LinearLifter(9, tuple(range(9))).spec).look_ahead == 8
    assert for_live(LiftOptions(overlap=False), LinearLifter(27, tuple(range(27))).spec).look_ahead is None


@pytest.mark.usefixtures("results")
def test_wait_and_cost_are_said() -> None:
    said = spoken(lifter(), LiftOptions(look_ahead=15), 50.0)
    assert said.startswith("look-ahead of 15 frames: poses wait 0.30 s and are off by 3.0 mm more than those that wait 2.50 s")
    assert spoken(lifter(), LiftOptions(), 50.0) == "look-ahead of 125 frames: poses wait 2.50 s, all that is of use"
    assert spoken(lifter("b" * 64), LiftOptions(look_ahead=1), 50.0) == "look-ahead of 1 frame: poses wait 0.02 s"
    assert spoken(lifter("b" * 64), LiftOptions(look_ahead=0), 50.0) == "look-ahead of 0 frames: poses do not wait"
    centre = spoken(lifter(), LiftOptions(overlap=False, look_ahead=121), 50.0)
    assert centre == "look-ahead of 121 frames: poses wait 2.42 s"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("look_ahead_*.json")), ids=lambda path: path.stem)
def test_every_recorded_table_says_of_which_weights(path: Path) -> None:
    assert re.fullmatch("[0-9a-f]{64}", json.loads(path.read_text())["weights_sha256"])


def test_recorded_tables_travel_with_the_package() -> None:
    included = read_toml(ROOT / "pyproject.toml")["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["benchmarks/results"] == "poseedge/_resources/benchmarks/results"


def test_cost_for_recorded_weights_grows_as_poses_wait_less() -> None:
    checkpoint = LinearLifter()
    checkpoint.path = ROOT / "weights" / "nanohtnet.pth"
    checkpoint.spec = replace(checkpoint.spec, precision="fp32")
    costs = [cost_mm(checkpoint, frames) for frames in (0, 4, 10, 64)]
    assert costs == sorted(costs, key=lambda cost: -(cost or 0))
    assert 3 < (costs[2] or 0) < 5  # millimetres at 10 frames
