"""Peak memory is that of the artefact's own process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseedge.backends.registry import load
from poseedge.bench.memory import fresh, own_peak_rss
from poseedge.errors import PoseedgeError
from poseedge.lifter import random_keypoints
from tests.support import samples


@pytest.mark.slow
def test_peak_of_a_small_graph_does_not_hold_what_the_parent_holds(tmp_path: Path) -> None:
    graph = samples.lifting_graph(tmp_path / "g.onnx")
    ballast = np.ones(1 << 28, np.uint8)
    assert 10e6 < fresh(graph, runs=1).peak_rss_bytes < ballast.nbytes < own_peak_rss()


def test_cold_start_is_the_sum_of_its_steps_and_more(tmp_path: Path) -> None:
    told = fresh(samples.lifting_graph(tmp_path / "g.onnx"), runs=2)
    assert told.n == 2
    assert 20 < told.start_ms + told.load_ms + told.first_ms < told.total_ms + 5
    assert told.load_ms > 0 < told.first_ms


@pytest.mark.slow
def test_failure_of_the_process_names_the_file_and_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(PoseedgeError, match=r"broken\.onnx: the process that measures its memory failed"):
        fresh(tmp_path / "broken.onnx")


def test_keypoints_are_the_same_every_time_and_on_the_screen(tmp_path: Path) -> None:
    spec = load(samples.lifting_graph(tmp_path / "g.onnx")).spec
    keypoints = random_keypoints(spec, 3)
    assert keypoints.shape == (3, samples.FRAMES, 17, 2)
    assert np.abs(keypoints).max() <= 0.5
    np.testing.assert_array_equal(keypoints, random_keypoints(spec, 3))
