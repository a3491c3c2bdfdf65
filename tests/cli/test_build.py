"""``poseedge build`` makes engines that ``eval`` and ``bench`` take like any other artefact, on every TensorRT."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from poseedge.deploy.pipeline import export_bundle
from poseedge.deploy.targets import load_target
from tests.cli.user import Command
from tests.deploy import small_export
from tests.doubles.binding import Fake
from tests.doubles.install import VERSIONS, install


@pytest.fixture(scope="session")
def old_bundle(export_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle for TensorRT before 8.6: opset 13, layer norms spelt out."""
    folder = tmp_path_factory.mktemp("bundle") / "old"
    target = load_target("default").model_copy(update={"opset": 13})
    export_bundle(replace(small_export.job(export_inputs, folder), target=target))
    return folder


@pytest.fixture(params=VERSIONS)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """Each TensorRT that a JetPack brings; at the end the GPU is as it was found."""
    fake = install(monkeypatch, request.param)
    yield fake
    assert fake.gpu.mistakes == []
    assert fake.gpu.leftovers() == {}


@pytest.fixture
def bundle(device: Fake, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a bundle that this device reads, to build in."""
    made = request.getfixturevalue("small_bundle" if device.release >= (8, 6) else "old_bundle")
    return Path(shutil.copytree(made, tmp_path / "bundle"))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_an_engine_is_built_and_proved(device: Fake, poseedge: Command, bundle: Path, data: Path, precision: str) -> None:
    built = poseedge("build", bundle, "--precision", precision, "--json")
    assert built.status == 0, built.err
    engine = built.json["engine"]
    found = poseedge("eval", engine, "--against", "checkpoint", "--data", data, "--json")
    assert found.status == 0, found.err
    assert (found.json["backend"], found.json["precision"]) == ("tensorrt", precision)
    assert found.json["parity"]["passed"] is True
