"""Each calibration method finds the share of the range that it promises; what was measured once is read from the cache."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from poseedge.arrays import AnyArray
from poseedge.int8 import ranges
from poseedge.int8.placement import place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import (
    BINS,
    METHODS,
    QMAX,
    Method,
    cached_ranges,
    calibrate,
    calibration_passes,
    entropy_share,
    mse_share,
    percentile_share,
    read_ranges,
)
from tests.support.graphs import arrays, make_graph, simplified, windows

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)


def counted(values: AnyArray) -> AnyArray:
    """Return how often ``|values|`` fall into each part of their range."""
    size = np.abs(values)
    return np.histogram(size, BINS, (0, size.max()))[0]


def with_outliers(share: float) -> AnyArray:
    """Return normal values, of which this share lies twenty deviations out."""
    values = RNG.normal(size=200_000)
    values[: int(share * len(values))] = 20
    return values


def error(values: AnyArray, share: float) -> float:
    """Return the mean squared error of rounding to 127 steps over this share of the range."""
    step = share * np.abs(values).max() / QMAX
    return float(np.mean((np.clip(np.rint(values / step), -QMAX, QMAX) * step - values) ** 2))


def test_percentile_leaves_out_one_value_in_ten_thousand() -> None:
    values = RNG.uniform(0, 1, 1_000_000)
    assert percentile_share(counted(values)) == pytest.approx(np.percentile(values, 99.99), abs=2 / BINS)


def test_percentile_drops_rare_outliers_and_keeps_frequent_ones() -> None:
    assert percentile_share(counted(with_outliers(0.00005))) < 0.3
    assert percentile_share(counted(with_outliers(0.001))) == 1.0


def test_mse_share_has_the_least_error() -> None:
    values = with_outliers(0.000005)
    found = mse_share(counted(values))
    best = min(error(values, share) for share in np.linspace(0.1, 1, 46))
    assert error(values, found) <= 1.02 * best
    assert error(values, found) < 0.7 * error(values, 1.0)


def test_mse_keeps_the_range_of_evenly_spread_values() -> None:
    assert mse_share(counted(RNG.uniform(-1, 1, 200_000))) > 0.98


def test_entropy_drops_a_long_empty_tail() -> None:
    assert entropy_share(counted(with_outliers(0.00005))) < 0.6
    assert entropy_share(counted(RNG.uniform(-1, 1, 200_000))) > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_steps_are_never_wider_than_those_of_the_whole_range(method: Method) -> None:
    graph, _ = simplified(17)
    placement = place(graph, ["temporal*", "spatial.0.[gil]*"] if method == "entropy" else [])  # seconds a layer
    assert placement.tensors
    whole, found = calibrate(graph, placement, windows()), calibrate(graph, placement, windows(), method)
    assert all(found[key].step <= whole[key].step for key in placement.tensors)
    assert method == "minmax" or any(found[key].step < whole[key].step for key in placement.tensors)


@pytest.mark.parametrize("method", METHODS)
def test_progress_is_told_of_every_window_of_every_pass(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "entropy_share", mse_share)  # seconds, of no window
    steps: list[int] = []
    graph, _ = simplified(17)
    calibrate(graph, place(graph), windows(), method, advance=lambda: steps.append(1))
    assert len(steps) == calibration_passes(method) * len(windows())


def test_calibrating_twice_runs_the_graph_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    graph, _ = simplified(17)
    first = cached_ranges(graph, place(graph), windows(), "minmax", 0.7)
    monkeypatch.setattr(ranges, "channel_statistics", None)
    steps: list[None] = []
    assert cached_ranges(graph, place(graph), windows(), "minmax", 0.7, lambda: steps.append(None)) == first
    assert len(steps) == len(windows())


@pytest.mark.parametrize("change", ["windows", "method", "graph", "placement"])
def test_anything_else_is_measured_anew(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    graph, _ = simplified(17)
    cached_ranges(graph, place(graph), windows(), "minmax", 0.7)
    other = simplified(13)[0] if change == "graph" else graph
    keep = ["spatial.0.mlp.fc1"] if change == "placement" else []
    cached_ranges(
        other, place(other, keep), windows()[: 2 if change == "windows" else 3], "mse" if change == "method" else "minmax", 0.7
    )
    assert len(list(tmp_path.rglob("*.json"))) == 2


def test_damaged_cache_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    graph, _ = simplified(17)
    first = cached_ranges(graph, place(graph), windows(), "minmax", 0.7)
    (file,) = tmp_path.rglob("*.json")
    file.write_text('{"tensors": ')
    assert cached_ranges(graph, place(graph), windows(), "minmax", 0.7) == first
    assert json.loads(file.read_text()) == first


def test_ranges_from_the_file_make_the_same_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    graph, _ = simplified(17)
    placement = place(graph)
    stored = read_ranges(json.loads(json.dumps(cached_ranges(graph, placement, windows(), "mse", 0.7))))
    fresh = calibrate(graph, placement, windows(), "mse", 0.7)
    one, other = (quantize(graph, placement, found).proto.SerializeToString(deterministic=True) for found in (stored, fresh))
    assert one == other


def test_attention_tensors_are_rounded_around_zero() -> None:
    node = helper.make_node
    graph = make_graph(
        [
            node("MatMul", ["x", "in.weight"], ["a"]),
            node("Transpose", ["a"], ["t"], perm=[0, 2, 1]),
            node("MatMul", ["a", "t"], ["scores"]),
            node("Softmax", ["scores"], ["p"]),
            node("MatMul", ["p", "a"], ["b"]),
            node("MatMul", ["b", "mid.weight"], ["c"]),
            node("MatMul", ["c", "out.weight"], ["y"]),
        ],
        [1, 17, 16],
        {f"{name}.weight": RNG.normal(size=(16, 16)).astype(np.float32) for name in ("in", "mid", "out")},
    )
    samples = RNG.normal(size=(4, 17, 16)).astype(np.float32) + 2
    placement = place(graph, level="B")
    found = calibrate(graph, placement, samples)
    assert set(found) == {"b", "a_plain", "t_plain", "p_plain"}
    assert not any(found[key].offset.any() for key in found if key.endswith("_plain"))
    result = quantize(graph, placement, found)
    onnx.checker.check_model(result.proto, full_check=True)
    assert float(arrays(result)["p_plain_scale"]) <= 1 / QMAX
