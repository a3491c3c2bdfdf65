"""Calibration sees windows of every sequence, half of them mirrored, the same ones each time; ranges are those of numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import helper

from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset
from poseedge.data.windows import centered, mirror_keypoints
from poseedge.errors import DataError, PoseedgeError
from poseedge.graph.graph import Graph
from poseedge.int8.windows import calibration_windows, channel_statistics, digest
from tests.support.folders import MINI
from tests.support.graphs import make_graph, simplified, windows

FRAMES = 9
TRAIN = load_dataset(MINI, "gt").of(["S1", "S6"])
SEQUENCES = len(TRAIN.sequences)


def origins(dataset: PoseDataset, found: np.ndarray) -> list[tuple[str, bool]]:
    """Return, for each window, the sequence that it was cut from and whether it is mirrored."""
    known = {}
    for sequence in dataset.sequences:
        for window in sequence.keypoints[centered(len(sequence), FRAMES)]:
            known[window.tobytes()] = sequence.name, False
            known[np.ascontiguousarray(mirror_keypoints(window)).tobytes()] = sequence.name, True
    return [known[window.tobytes()] for window in found]


def test_windows_are_float32_in_the_network_s_shape() -> None:
    found = calibration_windows([TRAIN], FRAMES, 10)
    assert found.shape == (10, FRAMES, 17, 2)
    assert found.dtype == np.float32


def test_the_same_seed_gives_the_same_windows() -> None:
    first, second = calibration_windows([TRAIN], FRAMES, 10, seed=3), calibration_windows([TRAIN], FRAMES, 10, seed=3)
    np.testing.assert_array_equal(first, second)


def test_another_seed_gives_other_windows() -> None:
    assert not np.array_equal(calibration_windows([TRAIN], FRAMES, 10, seed=0), calibration_windows([TRAIN], FRAMES, 10, seed=1))


def test_every_sequence_gives_as_many_windows_as_any_other() -> None:
    names = [name for name, _ in origins(TRAIN, calibration_windows([TRAIN], FRAMES, 3 * SEQUENCES))]
    assert {names.count(sequence.name) for sequence in TRAIN.sequences} == {3}


def test_every_data_set_gives_as_many_windows_as_any_other() -> None:
    detected = load_dataset(MINI, "detected").of(["S1", "S6"])
    noisy = replace(detected, sequences=tuple(replace(s, action="noisy") for s in detected.sequences))
    both = replace(TRAIN, sequences=TRAIN.sequences + noisy.sequences)
    names = [name for name, _ in origins(both, calibration_windows([TRAIN, noisy], FRAMES, 2 * SEQUENCES))]
    assert sorted(names) == sorted(sequence.name for sequence in both.sequences)


def test_every_other_window_is_mirrored() -> None:
    mirrored = [flipped for _, flipped in origins(TRAIN, calibration_windows([TRAIN], FRAMES, 10))]
    assert mirrored == [False, True] * 5


def test_data_set_without_sequences_is_an_error() -> None:
    with pytest.raises(DataError, match="no sequences to calibrate on") as caught:
        calibration_windows([replace(TRAIN, sequences=())], FRAMES, 10)
    assert "--calib" in caught.value.hint


def test_digest_names_the_values() -> None:
    found = calibration_windows([TRAIN], FRAMES, 2)
    assert digest(found) == digest(found.copy())
    assert digest(found) != digest(found[::-1].copy())


def norm_inputs(graph: Graph) -> list[str]:
    return [node.input[0] for node in graph.nodes if node.op_type == "LayerNormalization"]


def test_statistics_are_those_of_numpy_over_all_windows() -> None:
    graph, _ = simplified(17)
    names = norm_inputs(graph)
    evaluate = graph.evaluator(names)
    values = [np.stack(rows) for rows in zip(*(evaluate(window[None]) for window in windows()), strict=True)]
    found = channel_statistics(graph, names, windows())
    for name, value in zip(names, values, strict=True):
        flat = value.reshape(-1, value.shape[-1])
        wanted = {"low": flat.min(0), "high": flat.max(0), "mean": flat.mean(0)}
        for statistic, array in wanted.items():
            np.testing.assert_allclose(getattr(found[name], statistic), array, rtol=1e-4, atol=1e-4)


def test_tensor_that_two_layers_read_is_measured_once() -> None:
    graph, _ = simplified(17)
    name = norm_inputs(graph)[0]
    assert list(channel_statistics(graph, [name, name], windows())) == [name]


def test_each_window_advances_the_progress() -> None:
    graph, _ = simplified(17)
    steps: list[int] = []
    channel_statistics(graph, norm_inputs(graph), windows(), lambda: steps.append(1))
    assert len(steps) == len(windows())


def test_value_that_is_not_finite_is_an_error_naming_the_tensor() -> None:
    nodes = [helper.make_node("Div", ["x", "zero"], ["broken"]), helper.make_node("Add", ["broken", "zero"], ["y"])]
    graph = make_graph(nodes, [1, FRAMES, 17, 2], {"zero": np.zeros(1, np.float32)})
    with pytest.raises(PoseedgeError, match="broken is not finite"):
        channel_statistics(graph, ["broken"], np.ones((2, FRAMES, 17, 2), np.float32))
