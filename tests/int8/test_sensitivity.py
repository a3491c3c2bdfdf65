"""Layers are measured alone; a search relieves as few as hold the budget, and the result is measured, not predicted."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from poseedge.data.h36m import load_dataset
from poseedge.errors import DataError, PoseedgeError
from poseedge.int8.placement import place
from poseedge.int8.ranges import measure_ranges
from poseedge.int8.sensitivity import (
    Budget,
    Degradation,
    LayerSensitivity,
    Sensitivity,
    choose_runs,
    draw_sensitivity,
    layers_to_keep,
    multiply_adds,
)
from poseedge.int8.windows import calibration_windows
from poseedge.lifter import LifterSpec
from tests.support.folders import MINI
from tests.support.graphs import FRAMES, simplified

SPEC = LifterSpec("small", FRAMES, (12, 13, 14), "fp32", 1)
WHOLE = LifterSpec("whole", FRAMES, tuple(range(FRAMES)), "fp32", 1)


@cache
def measured() -> Sensitivity:
    graph = simplified(17)[0]
    ranges = measure_ranges(graph, place(graph), calibration_windows([load_dataset(MINI)], FRAMES, 32), "minmax", 0.5)
    return Sensitivity(graph, SPEC, choose_runs(load_dataset(MINI), SPEC, 48), ranges)


@cache
def ranked() -> list[LayerSensitivity]:
    return measured().rank()


def test_runs_are_consecutive_and_their_windows_are_centred_on_them() -> None:
    for run in choose_runs(load_dataset(MINI), SPEC, 36):
        np.testing.assert_array_equal(np.diff(run.frames), 1)
        np.testing.assert_array_equal(run.windows[:, FRAMES // 2], run.sequence.keypoints[run.frames])
        assert set(run.slots[1]) == {SPEC.center_slot}


def test_network_that_gives_all_frames_lifts_a_run_in_one_window() -> None:
    for run in choose_runs(load_dataset(MINI), WHOLE, 24):
        assert len(run.windows) == 1
        np.testing.assert_array_equal(run.windows[0][run.slots[1]], run.sequence.keypoints[run.frames])


@pytest.mark.parametrize("frames", [1, 9])
def test_network_with_windows_shorter_than_a_run_lifts_each_frame_by_itself(frames: int) -> None:
    spec = LifterSpec("short", frames, tuple(range(frames)), "fp32", 1)
    for run in choose_runs(load_dataset(MINI), spec, 24):
        assert run.windows.shape[:2] == (12, frames)
        np.testing.assert_array_equal(run.windows[run.slots], run.sequence.keypoints[run.frames])


def test_sequences_that_are_too_short_are_an_error() -> None:
    with pytest.raises(DataError, match="no sequence of 9999 frames"):
        choose_runs(load_dataset(MINI), SPEC, 10, length=9999)


@pytest.mark.slow
def test_every_int8_layer_is_ranked_by_what_it_moves() -> None:
    assert {layer.name for layer in ranked()} == set(place(simplified(17)[0]).layers)
    means = [layer.cost.mean_mm for layer in ranked()]
    assert means == sorted(means, reverse=True)
    assert min(means) > 0


def test_squares_of_single_layers_add_up_to_about_the_whole() -> None:
    together = measured().cost([], []).mean_mm
    added = sum(layer.cost.mean_mm**2 for layer in ranked()) ** 0.5
    assert 0.5 < added / together < 2


@pytest.mark.parametrize("two_step", [False, True])
def test_search_holds_its_budget_with_fewer_layers_than_all(two_step: bool) -> None:
    everything = measured().cost([], [])
    budget = Budget(mean_mm=0.9 * everything.mean_mm)
    found = measured().search(ranked(), budget, two_step)
    assert found.cost.mean_mm <= budget.mean_mm  # type: ignore[operator]
    assert 0 < len(found.relieved) < len(ranked())
    again = measured().cost([], found.relieved) if two_step else measured().cost(found.relieved, [])
    assert again == found.cost


def test_two_steps_leave_all_layers_in_int8() -> None:
    everything = measured().cost([], [])
    budget = Budget(mean_mm=0.9 * everything.mean_mm)
    kept, stepped = (measured().search(ranked(), budget, two_step).int8_share for two_step in (False, True))
    inner = sum(layer.macs for layer in ranked()) / sum(measured().macs.values())
    assert kept < stepped == pytest.approx(inner)


def test_layers_that_int8_makes_slower_stay_float_and_the_dearest_for_what_they_save_follow() -> None:
    layers = {layer.name: layer for layer in ranked()}
    slow = sorted(layers)[0]
    saved = {name: 1.0 for name in layers} | {slow: -1.0}
    assert measured().search(ranked(), Budget(mean_mm=1e6), False, worth=saved).relieved == [slow]
    worst = ranked()[0].name if ranked()[0].name != slow else ranked()[1].name
    everything = measured().cost([slow], [])
    tight = Budget(mean_mm=0.95 * everything.mean_mm)
    assert measured().search(ranked(), tight, False, worth=saved).relieved[:2] == [slow, worst]
    precious = measured().search(ranked(), tight, False, worth=saved | {worst: 1e6})
    assert worst not in precious.relieved
    assert precious.cost.mean_mm <= tight.mean_mm  # type: ignore[operator]


def test_budget_that_holds_already_relieves_nothing() -> None:
    assert measured().search(ranked(), Budget(mean_mm=1e6, jitter_ratio=1e6), False).relieved == []


def test_budget_that_nothing_holds_is_an_error() -> None:
    with pytest.raises(PoseedgeError, match="no set of INT8 layers holds this budget"):
        measured().search(ranked(), Budget(mean_mm=1e-9), True)


def test_needed_stops_where_the_squares_of_the_rest_fit() -> None:
    layers = [LayerSensitivity(str(mm), 1, Degradation(0, mm, 0, 5, 3)) for mm in (4.0, 3.0, 0.5, 0.5)]
    assert layers_to_keep(layers, Budget(mean_mm=1.0), 1.0) == 2
    assert layers_to_keep(layers, Budget(mean_mm=5.1), 1.0) == 0
    assert layers_to_keep(layers, Budget(jitter_ratio=2.0), 1.0) == 3  # each adds 16, 27 are allowed


def test_multiply_adds_are_rows_times_the_weight() -> None:
    graph = simplified(17)[0]
    counts = multiply_adds(graph)
    assert set(counts) == set(graph.layers)
    weight = {tensor.name: tensor.dims for tensor in graph.proto.graph.initializer}["spatial.0.mlp.fc1.weight"]
    assert counts["spatial.0.mlp.fc1"] == 17 * weight[0] * weight[1]


def test_drawing_is_a_png(tmp_path: Path) -> None:
    draw_sensitivity(ranked(), "small", tmp_path / "rank.png")
    assert (tmp_path / "rank.png").read_bytes()[:4] == b"\x89PNG"
