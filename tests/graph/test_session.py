"""One module opens ONNX Runtime, tells it not to report to Microsoft, and words its errors."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from poseedge.graph.session import SessionError, open_session, reason, session_options
from tests.support import samples

PACKAGE = Path(__file__).parents[2] / "poseedge"
LIFT = "import sys, numpy, poseedge; poseedge.load(sys.argv[1])(numpy.zeros((1, 5, 17, 2), numpy.float32))"
DOCTOR = "import sys; sys.argv = ['poseedge', 'doctor', '--json']; from poseedge.cli.app import main; main()"


def files_at_home(home: Path, *arguments: str) -> list[str]:
    """Return what a Python process leaves in a fresh home, where nothing tells ONNX Runtime that it is tested."""
    home.mkdir()
    seen = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    seen = {name: value for name, value in seen.items() if not name.startswith(("XDG_", "GITHUB_"))}
    subprocess.run([sys.executable, *arguments], env={**seen, "HOME": str(home)}, capture_output=True, check=True)
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


@pytest.fixture
def reports(tmp_path: Path) -> None:
    """Skip where ONNX Runtime writes nothing by itself: then the tests could not fail."""
    if not any("Microsoft" in file for file in files_at_home(tmp_path / "plain", "-c", "import onnxruntime")):
        pytest.skip("this ONNX Runtime does not report to Microsoft")


@pytest.mark.slow
@pytest.mark.usefixtures("reports")
def test_neither_library_nor_command_line_leaves_microsofts_files(tmp_path: Path) -> None:
    graph = samples.lifting_graph(tmp_path / "lifter.onnx")
    assert files_at_home(tmp_path / "library", "-c", LIFT, str(graph)) == []
    assert files_at_home(tmp_path / "command", "-c", DOCTOR) == []


@pytest.mark.usefixtures("reports")
def test_runner_of_a_bundle_leaves_no_files_of_microsoft(tmp_path: Path, small_bundle: Path) -> None:
    run = [str(small_bundle / "run.py"), "--precision", "fp32", "--backend", "onnxruntime", "--runs", "1", "--warmup", "0"]
    assert files_at_home(tmp_path / "home", *run) == []


@pytest.mark.slow
def test_no_other_module_imports_onnxruntime() -> None:
    importing = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "onnxruntime" for name in named):
                importing.add(str(path.relative_to(PACKAGE)))
    assert importing == {"graph/session.py", "int8/ranges.py"}  # the latter its calibration tools, after the former


def test_error_names_the_file_once_and_says_what_onnx_runtime_says(tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(samples.lifting_graph(tmp_path / "whole.onnx").read_bytes()[:60])
    with pytest.raises(SessionError) as caught:
        open_session(path, session_options())
    assert caught.value.message.startswith(f"{path}: ONNX Runtime cannot load it (")
    assert caught.value.message.count(str(tmp_path)) == 1
    assert "[ONNXRuntimeError]" not in caught.value.reason
    assert caught.value.reason


@pytest.mark.parametrize(
    "raised",
    [
        "[ONNXRuntimeError] : 1 : FAIL : no such file",
        "/x/core/session.cc:71 Create [ONNXRuntimeError] : 1 : FAIL : no such file",
        "[ONNXRuntimeError] : 1 : FAIL : Load model from /y/a b.onnx failed:/x/model.cc:256 A::A(B&&, const C&) no such file",
        "/x/python/state.cc:729 void onnxruntime::python::Register(PySessionOptions&, const Options&) no such file",
        "no such file",
    ],
)
def test_reason_is_what_is_said_without_where_in_its_source(raised: str) -> None:
    assert reason(RuntimeError(f"{raised}\nmore")) == "no such file"


def test_graph_written_out_is_folded_but_not_fused(tmp_path: Path) -> None:
    model = onnx.load(samples.lifting_graph(tmp_path / "lifter.onnx"))
    open_session(model.SerializeToString(), session_options(written=tmp_path / "written.onnx"))
    assert [node.op_type for node in onnx.load(tmp_path / "written.onnx").graph.node] == ["MatMul"]
