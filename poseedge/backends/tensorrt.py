"""A TensorRT engine as a lifter."""

from __future__ import annotations

import platform
import weakref
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from poseedge.arrays import Float32Array
from poseedge.backends.backend import Backend, Opening
from poseedge.caches import Memory, Size, lift_windows
from poseedge.device.runner.engine.memory import memory_words
from poseedge.device.runner.machine import board
from poseedge.engines.cuda import open_cuda
from poseedge.errors import PoseedgeError, require
from poseedge.lifter import ENGINE_SUFFIXES, Cost, check_keypoints

if TYPE_CHECKING:
    from poseedge.engines.plan import OpenPlan


class TensorRTLifter:
    """An engine on device 0. Any thread may call it; calls take turns, so give each thread its own for more speed.

    It is released by ``close``, at the end of ``with``, when nobody refers to it any more, or when the program ends.
    """

    backend = "tensorrt"

    def __init__(self, path: Path, cuda_graph: bool = True, plan: OpenPlan | None = None) -> None:
        """Open ``path``; raises as ``engines.plan.open_plan`` does, and ``PoseedgeError`` if there is no TensorRT."""
        require("tensorrt", "tensorrt")
        from poseedge.engines.plan import open_plan

        self._plan, self.path = plan or open_plan(path, cuda_graph), path
        self.spec, self.provider, self.session = self._plan.spec, self._plan.provider, self._plan.session
        memory = self.session.memory
        self.notes: tuple[str, ...] = () if memory is None else (memory_words(memory),)
        self.close = weakref.finalize(self, self.session.close)

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        return self._plan.lift(check_keypoints(keypoints, self.spec))

    def cost(self) -> Cost:
        """Return what the graph costs that the engine was built from, with the engine's own size."""
        from poseedge.engines.facts import graph_path
        from poseedge.graph.flops import graph_cost

        size = self.path.stat().st_size
        graph = graph_path(self.path, self._plan.facts) if self._plan.facts else self.path.with_suffix(".onnx")
        if not graph.is_file():
            return Cost(None, None, None, None, size, "the graph that it was built from is not here")
        return replace(graph_cost(graph), file_bytes=size, nodes=None)

    def __enter__(self) -> TensorRTLifter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class CachedTensorRTLifter(TensorRTLifter):
    """An engine of a streaming form, ``poseedge.caches.CachedLifter``: see there. Caches go through the host's memory."""

    @property
    def caches(self) -> Mapping[str, Size]:
        """What it remembers, by name."""
        return self.session.caches

    def begin(self) -> Memory:
        """Return a memory of nothing yet, for one person in one view."""
        return Memory(self)

    def step(self, keypoints: Float32Array, caches: Sequence[Float32Array]) -> tuple[Float32Array, list[Float32Array]]:
        """Take a frame ``(1, 1, 17, C)``; return the pose ``(1, 1, 17, 3)`` and the caches for the next one."""
        return self.session.step(keypoints, caches)

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        return lift_windows(self, check_keypoints(keypoints, self.spec))


def open_lifter(path: Path, opening: Opening) -> TensorRTLifter:
    """Return the engine ``path``; threads of the processor mean nothing to it."""
    require("tensorrt", "tensorrt")
    from poseedge.engines.plan import open_plan

    plan = open_plan(path)
    return CachedTensorRTLifter(path, plan=plan) if plan.session.caches else TensorRTLifter(path, plan=plan)


def works() -> str:
    """Start TensorRT's runtime, through the CUDA library that engines would be run with; returns versions and GPU."""
    try:
        tensorrt = require("tensorrt", "tensorrt")
    except PoseedgeError as error:
        raise PoseedgeError(error.message, how_to_install()) from error
    from poseedge.engines.log import shared_log

    try:
        with closing(open_cuda()) as cuda, cuda:
            if tensorrt.Runtime(shared_log()) is None:
                raise PoseedgeError(f"{tensorrt.__version__}: its runtime does not start", how_to_install())
            return f"{tensorrt.__version__}, {cuda.gpu} through {cuda.library}"
    except PoseedgeError as error:
        raise PoseedgeError(f"{tensorrt.__version__}, but {error.message}", error.hint or how_to_install()) from error


def how_to_install() -> str:
    """Return how to get TensorRT on this machine."""
    if board():
        return "sudo apt install nvidia-jetpack, and make the virtual environment with --system-site-packages"
    if platform.system() != "Linux":
        return "TensorRT needs Linux and an NVIDIA GPU"
    return "needs an NVIDIA GPU and its driver; then: pip install 'poseedge[tensorrt]'"


BACKENDS = (Backend("tensorrt", ENGINE_SUFFIXES, open_lifter, works, how_to_install()),)
