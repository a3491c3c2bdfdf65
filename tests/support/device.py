"""A bundle on a board with one TensorRT, run by its own runner."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from tests.doubles.binding import Fake
from tests.doubles.gpu import Gpu
from tests.doubles.install import install
from tests.support.lifting_bundle import load_runner, seal, write_bundle

Change = Callable[[Any], Any]


class Device:
    """A bundle on a board with one TensorRT."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.monkeypatch, self._capsys = folder, monkeypatch, capsys
        self.run_py = write_bundle(folder)
        self.fake = Fake("", Gpu())

    def has(self, version: str, gpu: Gpu | None = None) -> Fake:
        """Install this TensorRT."""
        self.fake = install(self.monkeypatch, version, gpu)
        return self.fake

    def run(self, *arguments: str) -> SimpleNamespace:
        """Run the bundle with few runs; returns status, what was printed, and the report."""
        path = self.folder.parent / "out.json"
        path.unlink(missing_ok=True)
        command = ["--runs", "5", "--warmup", "2", "--energy", "0", "--json", str(path), *arguments]
        status = load_runner(self.run_py).main(command)
        printed = self._capsys.readouterr()
        report = json.loads(path.read_text()) if path.exists() else None
        return SimpleNamespace(status=status, out=printed.out, err=printed.err, report=report)

    def names(self, pattern: str = "*") -> list[str]:
        """Files of the bundle folder, hidden ones too."""
        return sorted(path.name for path in self.folder.iterdir() if path.match(pattern))


def assert_refused(found: SimpleNamespace, reason: str) -> None:
    """Exit status 2, no report, and one last line that holds ``reason``."""
    assert (found.status, found.report, found.out) == (2, None, "")
    line = found.err.splitlines()[-1]
    assert line.startswith("run.py: ")
    assert reason in line


def rewrite_graph(folder: Path, change: Change) -> None:
    """Replace the FP32 graph by another that the manifest vouches for."""
    model = onnx.load(folder / "fp32.onnx")
    change(model)
    onnx.save(model, folder / "fp32.onnx")
    seal(folder)


def rewrite_samples(folder: Path, **changes: Change) -> None:
    """Replace the sample windows by others that the manifest vouches for."""
    with np.load(folder / "samples.npz") as stored:
        arrays: dict[str, Any] = {name: changes.get(name, lambda array: array)(stored[name]) for name in stored.files}
    np.savez(folder / "samples.npz", **arrays)
    seal(folder)
