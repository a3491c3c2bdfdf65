"""A process in which NVIDIA's TensorRT-RTX goes by the name of ``tensorrt``, and CUDA is a stand-in: it builds without a GPU.

    python -m tests.nvidia.child FOLDER    builds as FOLDER/jobs.json says, and writes FOLDER/done.json after each build

A job is the words of one ``poseedge build``, or of a bundle's run.py if the first word is its path.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tensorrt_rtx_bindings

from tests.doubles.gpu import Gpu
from tests.doubles.libcuda import Libcuda
from tests.doubles.pycuda import make_pycuda

CARD = (8, 6)  # the oldest that TensorRT-RTX builds for


def pretend() -> None:
    """Let ``import tensorrt``, ``import pycuda.driver`` and libcuda find what is to be found."""
    gpu, patch, real = Gpu(CARD, name="none"), pytest.MonkeyPatch(), ctypes.CDLL
    for name, module in {"tensorrt": tensorrt_rtx_bindings, **make_pycuda(gpu)}.items():
        patch.setitem(sys.modules, name, module)

    def load(name: Any, *args: Any, **kwargs: Any) -> Any:
        return Libcuda(gpu) if name == "libcuda.so.1" else real(name, *args, **kwargs)

    patch.setattr(ctypes, "CDLL", load)


def do(words: list[str]) -> dict[str, Any]:
    """Run one job as its program would."""
    out, err, start = io.StringIO(), io.StringIO(), time.perf_counter()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        if words[0].endswith("run.py"):
            from tests.support.lifting_bundle import load_runner

            status = load_runner(Path(words[0])).main(words[1:])
        else:
            from poseedge.cli.app import main

            sys.argv = ["poseedge", "build", *words]
            try:
                status = int(main() or 0)  # type: ignore[func-returns-value]
            except SystemExit as leave:
                status = int(leave.code or 0)
    return {"status": status, "out": out.getvalue(), "err": err.getvalue(), "seconds": time.perf_counter() - start}


def main(folder: Path) -> None:
    """Do all jobs."""
    pretend()
    done = []
    for words in json.loads((folder / "jobs.json").read_text()):
        done.append(do(words))
        (folder / "done.json").write_text(json.dumps(done))
    sys.stdout.flush()
    os._exit(0)  # the library's destructors look for a driver


if __name__ == "__main__":
    main(Path(sys.argv[1]))
