"""What a Jetson runs imports, and works, where PyTorch cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_TORCH = (
    "poseedge.evaluation.parity",
    "poseedge.bench.measure",
    "poseedge.backends.registry",
    "poseedge.backends.torch",
    "poseedge.bench.entries",
    "poseedge.bundle.reading",
    "poseedge.data.h36m",
    "poseedge.data.convert",
    "poseedge.data.excerpt",
    "poseedge.evaluation.figures",
    "poseedge.evaluation.protocols",
    "poseedge.device.runner.main",
    "poseedge.targets.preflight",
    "poseedge.backends.onnxruntime",
    "poseedge.engines.cuda",
    "poseedge.cli.verbs.build",
    "poseedge.cli.app",
    "poseedge.live.formats",
    "poseedge.live.lift",
    "poseedge.live.stream",
)
# PyTorch and what comes with the export extra are not found, as where they are not installed.
BLOCKED = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
missing = {"torch", "onnxsim", "onnxscript", "onnxconverter_common"}
PathFinder.find_spec = lambda name, *rest: None if name.split(".")[0] in missing else find(name, *rest)
"""
# Each statement in a process of its own, forked when what takes long to import, and is not ours, is there.
EACH_ALONE = """
import json, os, sys
import numpy, onnxruntime, pydantic, rich
ends = {}
for statement in sys.argv[1:]:
    child = os.fork()
    if not child:
        exec(statement)
        os._exit(0)
    ends[statement] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ends))
"""
COMMAND_LINE = "from poseedge.cli.app import main\nmain()"


def without_torch(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_block_works() -> None:
    assert "ModuleNotFoundError: No module named 'torch'" in without_torch("import torch").stderr


@pytest.mark.slow
def test_modules_import_without_torch() -> None:
    done = without_torch(EACH_ALONE, *(f"import {module}" for module in WITHOUT_TORCH))
    assert json.loads(done.stdout or "{}") == {f"import {module}": 0 for module in WITHOUT_TORCH}, done.stderr


def test_package_itself_imports_no_backend() -> None:
    program = "import sys, poseedge\nprint(sorted({'torch', 'onnx', 'onnxruntime'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_lifting_is_at_hand_and_imported_when_it_is_used() -> None:
    program = "import sys, poseedge\nbefore = 'poseedge.live' in sys.modules\nprint(before, poseedge.lift, poseedge.Stream)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("False <function lift at"), done.stderr
    assert "class 'poseedge.live.stream.Stream'" in done.stdout


@pytest.mark.slow
def test_public_names_need_no_import_of_their_own() -> None:
    names = ("poseedge.metrics.mpjpe", "poseedge.models.create", "poseedge.lift", "poseedge.Stream")
    command = [sys.executable, "-c", EACH_ALONE, *(f"import poseedge; {name}" for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout or "{}") == {f"import poseedge; {name}": 0 for name in names}, done.stderr


def test_eval_works_on_a_bundle(small_bundle: Path, export_inputs: Path) -> None:
    data = str(export_inputs / "data")
    done = without_torch(COMMAND_LINE, "eval", str(small_bundle), "--precision", "int8", "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["precision"], report["backend"], report["frames"]) == ("int8", "onnxruntime", 32)


def test_parity_between_two_graphs_works(small_bundle: Path, export_inputs: Path) -> None:
    graph, data = str(small_bundle / "nanohtnet_fp32.onnx"), str(export_inputs / "data")
    done = without_torch(COMMAND_LINE, "eval", str(small_bundle), "--against", graph, "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parity"]["distance_mm"]["max"] == 0


def test_bench_works_on_a_bundle(small_bundle: Path) -> None:
    options = ["--precision", "int8", "--rounds", "1", "--frames", "30", "--backend", "onnxruntime", "--json"]
    done = without_torch(COMMAND_LINE, "bench", str(small_bundle), *options)
    assert done.returncode == 0, done.stderr
    assert [row["precision"] for row in json.loads(done.stdout)["rows"]] == ["int8"]


def test_check_works_on_a_bundle(small_bundle: Path) -> None:
    done = without_torch(COMMAND_LINE, "check", str(small_bundle), "--target", "jetson-orin-nano", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"]


@pytest.mark.slow
def test_models_are_listed_and_the_next_command_needs_no_torch() -> None:
    done = without_torch(COMMAND_LINE, "models")
    assert done.returncode == 0, done.stderr
    assert "nanohtnet" in done.stdout
    assert "next: poseedge bench " in done.stdout.splitlines()[-1]
    loaded = without_torch(
        "import sys\nfrom poseedge.bench.networks import network_facts\nnetwork_facts()\nprint('onnx' in sys.modules)"
    )
    assert loaded.stdout.strip() == "False"


def test_trtexec_s_command_is_printed_where_tensorrt_is_not(small_bundle: Path) -> None:
    missing = BLOCKED.replace('"torch", ', '"torch", "tensorrt", ') + COMMAND_LINE
    command = [sys.executable, "-c", missing, "build", str(small_bundle), "--precision", "fp16", "--trtexec"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    graph = small_bundle / "nanohtnet_fp16.onnx"
    assert done.stdout.startswith(
        f"trtexec --onnx={graph} --saveEngine={small_bundle}/engines/nanohtnet_fp16.engine --stronglyTyped"
    )
    assert "TensorRT is not installed here" in done.stderr


@pytest.mark.slow
def test_doctor_names_what_is_missing() -> None:
    done = without_torch(COMMAND_LINE, "doctor", "--json")
    assert done.returncode == 0, done.stderr
    torch = next(backend for backend in json.loads(done.stdout)["backends"] if backend["name"] == "torch")
    assert (torch["works"], torch["fix"]) == (False, "install it with: pip install 'poseedge[export]'")


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", "--checkpoint", "{bundle}"],
        ["export", "--model", "nanohtnet"],
        ["train", "--data", "d", "--output", "o"],
        ["eval", "{bundle}", "--against", "checkpoint"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_verb_that_needs_torch_says_how_to_get_it(small_bundle: Path, arguments: list[str]) -> None:
    done = without_torch(COMMAND_LINE, *(argument.format(bundle=small_bundle) for argument in arguments))
    assert done.returncode == 2
    assert "error: this needs the Python package 'torch', which is not installed here" in done.stderr
    assert "hint: install it with: pip install 'poseedge[export]'" in done.stderr
    assert "Traceback" not in done.stderr
