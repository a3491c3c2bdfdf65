"""A backend works if it ran something; else the probe says what to do."""

from __future__ import annotations

import sys

import onnxruntime as ort
import pytest

from poseedge.bench.probe import probe_backends, probe_onnxruntime, probe_provider, probe_tensorrt, probe_torch
from tests.doubles.binding import Fake
from tests.doubles.install import uninstall


def test_processor_provider_works_wherever_onnxruntime_is() -> None:
    found = {backend.name: backend for backend in probe_onnxruntime()}
    assert found["onnxruntime CPU"].works
    assert found["onnxruntime CPU"].detail == ort.__version__


def test_every_backend_that_does_not_work_comes_with_a_fix() -> None:
    assert all(backend.works or backend.fix for backend in probe_backends())


def test_missing_package_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    backend = probe_torch()
    assert not backend.works
    assert "poseedge[export]" in backend.fix


def test_silent_fallback_to_the_processor_does_not_count_as_working(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort.InferenceSession, "get_providers", lambda self: ["CPUExecutionProvider"])
    monkeypatch.setattr(ort.InferenceSession, "__init__", lambda self, *args, **kwargs: None)
    monkeypatch.setattr(ort.InferenceSession, "run", lambda self, *args: None)
    backend = probe_provider(ort, "CUDAExecutionProvider")
    assert not backend.works
    assert "falls back to CPUExecutionProvider" in backend.detail


def test_tensorrt_works_with_a_cuda_library_only(device: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = probe_tensorrt()
    assert (backend.works, backend.detail) == (True, f"{device.version}, Orin through pycuda")
    uninstall(monkeypatch, "pycuda.driver")
    backend = probe_tensorrt()
    assert not backend.works
    assert "neither pycuda nor cuda-python is installed" in backend.detail
    assert "pip install pycuda" in backend.fix
