"""Putting the stand-ins where a program finds them."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.doubles.binding import Fake
from tests.doubles.cudart import make_cuda_python
from tests.doubles.gpu import Gpu
from tests.doubles.libcuda import Libcuda, LibcudaBefore114
from tests.doubles.pycuda import make_pycuda
from tests.doubles.tensorrt import make_tensorrt

VERSIONS = (
    "8.2.1.8",
    "8.4.1.5",
    "8.5.2.2",
    "8.6.2.3",
    "10.3.0",
    "10.13.3.9",
    "10.16.2.10",
    "11.4.1.4",
)  # of JetPack 4.6 to 7.2.2
TYPICAL = ("8.2.1.8", "8.6.2.3", "10.3.0", "11.4.1.4")  # one for each way in which precision reaches the builder
EACH_VERSION = [v if v in TYPICAL else pytest.param(v, marks=pytest.mark.every_version) for v in VERSIONS]

BOUND = ("poseedge.backends.tensorrt", "poseedge.engines.")  # what imports tensorrt on top


def install(monkeypatch: pytest.MonkeyPatch, version: str, gpu: Gpu | None = None, library: str = "pycuda") -> Fake:
    """Make ``import tensorrt``, ``import pycuda.driver`` and libcuda find the stand-ins for the rest of a test.

    ``library`` may be ``cuda-python`` instead.
    """
    fake = Fake(version, gpu or Gpu())
    for name in [name for name in sys.modules if name.startswith(BOUND)]:
        monkeypatch.delitem(sys.modules, name)  # it holds the TensorRT of another test
        package, _, leaf = name.rpartition(".")
        monkeypatch.delattr(sys.modules[package], leaf, raising=False)
    if library == "pycuda":
        modules = make_pycuda(fake.gpu)
    else:
        modules = make_cuda_python(fake.gpu)
        uninstall(monkeypatch, "pycuda", "pycuda.driver")
    for name, module in {"tensorrt": make_tensorrt(fake), **modules}.items():
        monkeypatch.setitem(sys.modules, name, module)
    driver = LibcudaBefore114(fake.gpu) if fake.release < (8, 4) else Libcuda(fake.gpu)
    real = ctypes.CDLL

    def load(name: Any, *args: Any, **kwargs: Any) -> Any:
        return driver if name == "libcuda.so.1" else real(name, *args, **kwargs)

    monkeypatch.setattr(ctypes, "CDLL", load)
    return fake


def child_environment(folder: Path, version: str, build_s: float = 0) -> dict[str, str]:
    """Return the environment of a child process that finds the stand-ins; ``folder`` takes what it needs.

    A build takes ``build_s`` there, and makes ``folder / "building"`` when it begins.
    """
    (folder / "sitecustomize.py").write_text(
        "import pytest, time\n"
        "from pathlib import Path\n"
        "from tests.doubles.install import install\n"
        f"fake = install(pytest.MonkeyPatch(), {version!r})\n"
        f"fake.on_build = lambda: (Path({str(folder / 'building')!r}).touch(), time.sleep({build_s}))\n"
    )
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])])}


def without_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the driver one from before CUDA graphs, for the rest of a test."""
    driver = SimpleNamespace(cuCtxPopCurrent_v2=ctypes.CDLL("libcuda.so.1").cuCtxPopCurrent_v2)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)


def uninstall(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make ``import`` of each name fail for the rest of a test."""
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
