"""A graph that chooses neighbours is held to its network by the median: where frames are alike, rounding chooses."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.export.graphs import FOLD_TOLERANCE, distance_from
from poseedge.graph.structure import chooses_neighbours
from tests.support.networks import exported


@pytest.mark.parametrize(("name", "chooses"), [("motionagformer", True), ("nanohtnet", False), ("tpc_mixste", False)])
def test_network_that_compares_frames_is_told(name: str, chooses: bool) -> None:
    assert chooses_neighbours(exported(f"small {name}", 17)) == chooses


def test_some_poses_that_differ_count_only_where_nothing_is_chosen() -> None:
    wanted = np.zeros((4, 9, 17, 3), np.float32)
    found = wanted.copy()
    found[0] += 0.003
    assert distance_from(wanted, found, chooses=False) == pytest.approx(0.003)
    assert distance_from(wanted, found, chooses=True) == 0


def test_poses_that_differ_throughout_are_refused_all_the_same() -> None:
    wanted = np.zeros((4, 9, 17, 3), np.float32)
    assert distance_from(wanted, wanted + np.float32(0.001), chooses=True) > FOLD_TOLERANCE
