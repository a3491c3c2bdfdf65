"""Every lifter may be shared between threads: each call gets the poses of its own keypoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseedge.arrays import Float32Array
from poseedge.backends import tensorrt_rtx
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.backends.registry import load
from poseedge.backends.torch import TorchLifter
from tests.doubles import onnxruntime
from tests.doubles.binding import Fake
from tests.support import golden, networks
from tests.support.engines import build, keypoints, write_graph
from tests.support.sharing import strangers

CUDA = "CUDAExecutionProvider"


@pytest.fixture
def windows() -> list[Float32Array]:
    """Return different numbers of different windows."""
    return [keypoints(1 + seed % 3, seed) for seed in range(7)]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "small.onnx", batch="B")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_onnxruntime(small_bundle: Path, precision: str) -> None:
    lifter = load(small_bundle, precision)
    assert strangers(lifter, golden_windows()) == 0


def test_onnxruntime_with_a_free_batch(graph: Path, windows: list[Float32Array]) -> None:
    assert strangers(load(graph), windows) == 0


def test_onnxruntime_on_a_device(monkeypatch: pytest.MonkeyPatch, graph: Path, windows: list[Float32Array]) -> None:
    onnxruntime.install(monkeypatch, CUDA)
    assert strangers(OnnxLifter(graph, provider=CUDA), windows) == 0


def test_tensorrt_rtx(monkeypatch: pytest.MonkeyPatch, graph: Path, windows: list[Float32Array]) -> None:
    onnxruntime.install(monkeypatch, tensorrt_rtx.PROVIDER, plugin=True)
    monkeypatch.setattr(tensorrt_rtx, "first_device", lambda: None)
    monkeypatch.setattr(tensorrt_rtx, "device_options", lambda device, threads: onnxruntime.recording())
    assert strangers(load(graph, backend="tensorrt-rtx"), windows) == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_torch(export_inputs: Path, threads: int) -> None:
    assert strangers(load(export_inputs / "small.pth", threads=threads), golden_windows()) == 0


@pytest.mark.slow
def test_torch_with_the_flip_test_inside(tmp_path: Path) -> None:
    network = networks.drawn("tpc_mixste", frames=9, channel=32, d_hid=32, depth=3, token_num=3, layer_index=1)
    lifter = TorchLifter(network, tmp_path, flip=True)
    assert lifter.spec.flip == "inside"
    stored = networks.windows(network, 2).numpy()
    assert strangers(lifter, [stored[:1], stored[1:2], stored]) == 0


def test_tensorrt(some_device: Fake, graph: Path, windows: list[Float32Array]) -> None:
    assert strangers(load(build(graph, max_batch=2).path), windows) == 0


def test_torch_leaves_the_number_of_threads_as_it_was(export_inputs: Path) -> None:
    before = torch.get_num_threads()
    lifter = load(export_inputs / "small.pth", threads=before + 1)
    lifter(golden_windows()[0])
    assert torch.get_num_threads() == before


def golden_windows() -> list[Float32Array]:
    stored: Float32Array = golden.arrays("nanohtnet-small")["input"]
    return [np.ascontiguousarray(stored[start : start + count]) for start in range(3) for count in (1, 2)]
