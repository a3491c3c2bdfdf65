"""The board, and the TensorRTs, that the tests of the runner share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.install import EACH_VERSION
from tests.support.device import Device


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Device]:
    """A board; at the end of every test the GPU is as it was found, whatever happened."""
    device = Device(tmp_path / "bundle", monkeypatch, capsys)
    yield device
    assert device.fake.gpu.mistakes == []
    assert device.fake.gpu.leftovers() == {}
    assert device.names(".*") == []  # no temporary file


@pytest.fixture(params=EACH_VERSION)
def version(request: pytest.FixtureRequest) -> str:
    """Each TensorRT that a JetPack brings."""
    return str(request.param)
