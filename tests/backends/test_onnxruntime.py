"""ONNX Runtime on a device gives the poses of the keypoints that it was given, not of those that lay there before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseedge.backends.onnxruntime import OnnxLifter
from tests.doubles.onnxruntime import install
from tests.support.engines import expected, keypoints, write_graph

CUDA = "CUDAExecutionProvider"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "small.onnx")


def test_every_call_on_a_device_lifts_its_own_keypoints(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    wanted = [expected(graph, keypoints(1, seed)) for seed in range(5)]
    install(monkeypatch, CUDA)
    lifter = OnnxLifter(graph, provider=CUDA)
    for seed, poses in enumerate(wanted):
        np.testing.assert_allclose(lifter(keypoints(1, seed)), poses, atol=1e-2)  # TF32 is on
