"""The C++ example compiles against TensorRT's and CUDA's declarations, and runs where a wrong order of calls fails."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from poseedge.arrays import Float32Array

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp" / "lift.cpp"
STUBS = Path(__file__).parent / "cpp"

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@dataclass(frozen=True)
class Compiler:
    """Compiles programs against the stubs, in a folder of its own."""

    folder: Path

    def compile(self, source: Path, name: str, *options: str) -> Path:
        stub = self.folder / f"stub{''.join(options)}.o"
        flags = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{STUBS}", *options]
        if not stub.exists():
            subprocess.run([*flags, "-c", str(STUBS / "stub.cpp"), "-o", str(stub)], check=True)
        subprocess.run([*flags, str(source), str(stub), "-o", str(self.folder / name)], check=True)
        return self.folder / name


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("cpp"))


@pytest.fixture(scope="module")
def lift(compiler: Compiler) -> Path:
    return compiler.compile(EXAMPLE, "lift")


def keypoints(count: int) -> Float32Array:
    return np.random.default_rng(3).normal(size=(count, 4, 17, 2)).astype(np.float32)


def wanted(windows: Float32Array) -> Float32Array:
    """Return what the stub's network gives: of the two frames in the middle, sum and difference of a joint's x and y, and x."""
    x, y = np.moveaxis(windows[:, 1:3], -1, 0)
    return np.stack([x + y, x - y, x], axis=-1)


def run(program: Path, windows: bytes, plan: str = "plan 1 0") -> subprocess.CompletedProcess[bytes]:
    path = program.parent / "some.plan"
    path.write_text(plan)
    return subprocess.run([str(program), str(path)], input=windows, capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["plan 1 0", "plan -1 0", "plan 1 1"], ids=["fixed batch", "free batch", "with a plugin"])
def test_every_window_becomes_a_pose(lift: Path, plan: str) -> None:
    windows = keypoints(5)
    done = run(lift, windows.tobytes(), plan)
    assert (done.returncode, done.stderr) == (0, b"")
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.float32).reshape(5, 2, 17, 3), wanted(windows))


@pytest.mark.slow
def test_it_is_for_tensorrt_8_too(compiler: Compiler) -> None:
    program, windows = compiler.compile(EXAMPLE, "lift8", "-DTENSORRT_8"), keypoints(2)
    np.testing.assert_array_equal(
        np.frombuffer(run(program, windows.tobytes()).stdout, np.float32).reshape(2, 2, 17, 3), wanted(windows)
    )


@pytest.mark.parametrize(
    ("plan", "windows", "reason"),
    [
        ("other", b"", b"cannot be loaded; it must have been built on this device"),
        ("plan 1 0", bytes(17), b"the last window is not whole"),
    ],
)
def test_what_cannot_be_done_is_said(lift: Path, plan: str, windows: bytes, reason: bytes) -> None:
    done = run(lift, windows, plan)
    assert done.returncode != 0
    assert reason in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ('    enqueue();\n    check(cudaStreamSynchronize(stream), "the first run");\n', ""),
        ('        check(cudaStreamSynchronize(stream), "a replay");\n', ""),
        ("cudaMallocHost(&keypoints, source->bytes)", "((keypoints = std::malloc(source->bytes)), cudaSuccess)"),
        ("kINPUT, nvinfer1::TensorIOMode::kOUTPUT", "kOUTPUT, nvinfer1::TensorIOMode::kINPUT"),
        ("cudaStreamNonBlocking)", "0)"),
        ('    initLibNvInferPlugins(&log, "");\n', ""),
        ('    check(cudaGraphExecDestroy(replay), "cudaGraphExecDestroy");\n', ""),
    ],
    ids=["no first run", "no waiting", "pageable memory", "outputs first", "blocking stream", "no plugins", "leak"],
)
def test_the_stubs_refuse_a_program_that_gets_it_wrong(compiler: Compiler, line: str, instead: str) -> None:
    text, windows = EXAMPLE.read_text(), keypoints(3)
    assert text.count(line) == 1
    source = compiler.folder / "wrong.cpp"
    source.write_text(text.replace(line, instead))
    done = run(compiler.compile(source, "wrong"), windows.tobytes(), "plan -1 1")
    assert done.returncode != 0 or done.stdout != wanted(windows).tobytes()
