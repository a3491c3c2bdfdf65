"""One TensorRT after the other, on a GPU that must be left as it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.doubles.binding import Fake
from tests.doubles.gpu import Gpu
from tests.doubles.install import EACH_VERSION, install

Install = Callable[..., Fake]


@pytest.fixture
def install_tensorrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a version on a GPU; at the end nothing may be left on any of them, whatever happened."""
    fakes: list[Fake] = []

    def install_version(version: str = "10.3.0", gpu: Gpu | None = None, library: str = "pycuda") -> Fake:
        fakes.append(install(monkeypatch, version, gpu, library))
        return fakes[-1]

    yield install_version
    for fake in fakes:
        assert fake.gpu.mistakes == []
        assert fake.gpu.leftovers() == {}


@pytest.fixture
def some_device(install_tensorrt: Install) -> Fake:
    """One TensorRT, where it does not matter which."""
    return install_tensorrt()


@pytest.fixture(params=EACH_VERSION)
def device(request: pytest.FixtureRequest, install_tensorrt: Install) -> Fake:
    """Each TensorRT that a JetPack brings."""
    return install_tensorrt(request.param)
