"""The runner as a file: it stands alone, speaks Python 3.6, and works as a program."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from poseedge.device import far_end
from tests.support.lifting_bundle import RUNNER, write_bundle
from tests.support.python36 import ALLOWED


@pytest.mark.parametrize("file", [RUNNER, Path(far_end.__file__)], ids=lambda path: path.name)
def test_it_is_python_3_6(file: Path) -> None:
    vermin = pytest.importorskip("vermin")
    config = vermin.Config()
    config.add_exclusion("numpy")
    assert vermin.visit(file.read_text(), config).minimum_versions()[1] <= (3, 6)


def test_it_imports_nothing_but_the_library_of_python_3_6_and_numpy() -> None:
    found = set()
    for node in ast.walk(ast.parse(RUNNER.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    assert found <= ALLOWED


def test_it_never_uses_the_private_context_of_pycuda_autoinit() -> None:
    assert "autoinit" not in RUNNER.read_text()


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    """The command that runs a bundle on ONNX Runtime."""
    return [sys.executable, str(write_bundle(tmp_path / "bundle")), "--backend", "onnxruntime", "--runs", "3", "--warmup", "1"]


def test_it_runs_as_a_program_from_anywhere(program: list[str], tmp_path: Path) -> None:
    done = subprocess.run([*program, "--json", "out.json"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "smallnet fp32, CPUExecutionProvider" in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["passed"] is True


def test_bad_usage_is_exit_status_2_without_a_traceback(program: list[str]) -> None:
    done = subprocess.run([*program, "--precision", "fp8"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
