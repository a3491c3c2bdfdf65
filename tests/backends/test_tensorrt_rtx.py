"""TensorRT-RTX runs all of a graph or refuses with one message; what ONNX Runtime does here is real, only the GPU is not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime as ort
import pytest

from poseedge.backends import tensorrt_rtx
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.backends.registry import backends, load, probe
from poseedge.backends.tensorrt_rtx import PACKAGE, TensorRTRTXLifter, check_assignment, register_provider
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.lifter import random_keypoints
from tests.doubles.onnxruntime import recording
from tests.support import samples


@pytest.fixture(autouse=True)
def fresh_registration() -> Iterator[None]:
    register_provider.cache_clear()
    yield
    register_provider.cache_clear()


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return samples.lifting_graph(tmp_path / "fp32.onnx")


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A plugin that registers and brings no device."""
    package = ModuleType(PACKAGE)
    package.__file__ = str(tmp_path / "__init__.py")
    setattr(package, "get_library_path", lambda: "plugin.so")  # noqa: B010  # a module type has no such attribute
    monkeypatch.setitem(sys.modules, PACKAGE, package)
    monkeypatch.setattr(ort, "register_execution_provider_library", lambda name, path: None)


@pytest.fixture
def any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU to which ONNX Runtime gives nothing."""
    monkeypatch.setattr(tensorrt_rtx, "first_device", lambda: None)
    monkeypatch.setattr(ort.SessionOptions, "add_provider_for_devices", lambda self, devices, options: None)


def test_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(PoseedgeError, match=PACKAGE) as raised:
        load(graph, backend="tensorrt-rtx")
    assert raised.value.hint == "install it with: pip install 'poseedge[rtx]'"


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="NVIDIA's package is not installed")
def test_real_plugin_without_a_driver_refuses(graph: Path) -> None:
    if probe(backends()["tensorrt-rtx"]).works:
        pytest.skip("there is a GPU here")
    with pytest.raises(PoseedgeError, match=r"TensorRT-RTX (cannot start here: lib|supports no GPU)") as raised:
        load(graph, backend="tensorrt-rtx")
    assert "RTX 30 series" in raised.value.hint


@pytest.mark.usefixtures("plugin")
def test_plugin_without_a_device_is_refused(graph: Path) -> None:
    for _ in range(2):
        with pytest.raises(PoseedgeError, match="supports no GPU of this machine"):
            load(graph, backend="tensorrt-rtx")


@pytest.mark.usefixtures("plugin")
def test_refusal_names_the_gpu_that_is_not_supported(monkeypatch: pytest.MonkeyPatch, graph: Path, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 9.0'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(PoseedgeError, match=r"of this machine: NVIDIA H100 80GB HBM3, compute capability 9\.0"):
        load(graph, backend="tensorrt-rtx")


@pytest.mark.usefixtures("plugin")
def test_every_refusal_gives_the_reason_of_the_first(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    reasons = iter(["driver too old", "library is already registered under NvTensorRTRTXExecutionProvider"])

    def refuse(name: str, path: str) -> None:
        raise RuntimeError(f"[ONNXRuntimeError] : 1 : FAIL : {next(reasons)}")

    monkeypatch.setattr(ort, "register_execution_provider_library", refuse)
    for _ in range(2):
        with pytest.raises(PoseedgeError, match="cannot start here: driver too old"):
            load(graph, backend="tensorrt-rtx")


@pytest.mark.usefixtures("plugin")
def test_onnx_runtime_without_plugins_is_told(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    monkeypatch.setattr(ort, "InferenceSession", object)
    with pytest.raises(PoseedgeError, match=f"ONNX Runtime {ort.__version__} is too old"):
        load(graph, backend="tensorrt-rtx")


@pytest.mark.usefixtures("any_device")
def test_onnx_runtime_refuses_to_fall_back_to_the_processor(graph: Path) -> None:
    with pytest.raises(ArtefactError, match="fallback to CPU EP has been explicitly disabled") as raised:
        TensorRTRTXLifter(graph)
    assert raised.value.message.startswith(f"{graph}: TensorRT-RTX cannot run it")


@pytest.mark.usefixtures("any_device")
def test_provider_that_does_not_start_is_not_replaced_by_the_processor(
    graph: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(session: ort.InferenceSession, providers: object, *rest: object) -> None:
        raise RuntimeError(f"/x.cc:71 Create [ONNXRuntimeError] : 1 : FAIL : CUDA failure 35; providers {providers}\nmore")

    monkeypatch.setattr(ort.InferenceSession, "_create_inference_session", start)
    with pytest.raises(ArtefactError, match=r"cannot run it \(CUDA failure 35; providers None\)"):
        TensorRTRTXLifter(graph)
    assert capsys.readouterr().out == ""


def test_node_that_went_to_another_provider_is_named(graph: Path) -> None:
    with pytest.raises(ArtefactError, match=r"fp32.onnx: MatMul '.*' would run in CPUExecutionProvider, not in NvTensorRTRTX"):
        check_assignment(ort.InferenceSession(str(graph), recording()), graph)


def test_session_that_has_all_nodes_lifts(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    monkeypatch.setattr(tensorrt_rtx, "first_device", lambda: None)
    monkeypatch.setattr(tensorrt_rtx, "device_options", lambda device, threads: recording())
    monkeypatch.setattr(tensorrt_rtx, "PROVIDER", "CPUExecutionProvider")
    lifter = load(graph, backend="tensorrt-rtx")
    keypoints = random_keypoints(lifter.spec, 3)
    assert lifter.backend == "tensorrt-rtx"
    np.testing.assert_array_equal(lifter(keypoints), OnnxLifter(graph)(keypoints))


def test_unknown_backend_suggests_the_nearest(graph: Path) -> None:
    with pytest.raises(PoseedgeError, match="no backend 'tensorrt-rtz'") as raised:
        load(graph, backend="tensorrt-rtz")
    assert "did you mean 'tensorrt-rtx'?" in raised.value.hint
