"""The runner as a file: it stands alone, speaks Python 3.6, and works as a program."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from poseedge.device import far_end
from poseedge.device.joined import part_files, run_py
from tests.support.lifting_bundle import write_bundle
from tests.support.python36 import ALLOWED


@pytest.mark.slow
@pytest.mark.parametrize("text", [run_py(), Path(far_end.__file__).read_text()], ids=["run.py", "far_end.py"])
def test_it_is_python_3_6(text: str) -> None:
    vermin = pytest.importorskip("vermin")
    config = vermin.Config()
    config.add_exclusion("numpy")
    assert vermin.visit(text, config).minimum_versions()[1] <= (3, 6)


def test_it_imports_nothing_but_the_library_of_python_3_6_and_numpy() -> None:
    found = set()
    for node in ast.walk(ast.parse(run_py())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    assert found <= ALLOWED


def test_its_parts_define_no_name_twice() -> None:
    """In one file the later would silently replace the earlier."""
    defined = Counter(name for node in ast.parse(run_py()).body for name in names_of(node))
    assert [name for name, count in defined.items() if count > 1] == []


def names_of(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return []


@pytest.mark.slow
def test_it_holds_every_line_of_its_parts() -> None:
    whole = run_py()
    for part in part_files().values():
        text = part.read_text()
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign):
                assert "\n".join(lines[node.lineno - 1 : node.end_lineno]) in whole


def test_the_same_parts_give_the_same_file() -> None:
    program = "from poseedge.device.joined import run_py; print(run_py(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    assert done.stdout == run_py()


def test_it_never_uses_the_private_context_of_pycuda_autoinit() -> None:
    assert "autoinit" not in run_py()


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    """The command that runs a bundle on ONNX Runtime."""
    return [sys.executable, str(write_bundle(tmp_path / "bundle")), "--backend", "onnxruntime", "--runs", "3", "--warmup", "1"]


@pytest.mark.slow
def test_it_runs_as_a_program_from_anywhere(program: list[str], tmp_path: Path) -> None:
    done = subprocess.run([*program, "--json", "out.json"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "smallnet fp32, CPUExecutionProvider" in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["passed"] is True


@pytest.mark.slow
def test_bad_usage_is_exit_status_2_without_a_traceback(program: list[str]) -> None:
    done = subprocess.run([*program, "--precision", "fp8"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
