"""How keypoints and poses get to the GPU and back: copied, or in memory that both share; plainly, or as one CUDA graph."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from poseedge.arrays import Float32Array
from poseedge.device.runner.engine.cuda_graph import CudaGraph, CudaGraphError
from poseedge.engines.cuda import Buffer, Cuda

Enqueue = Callable[[], bool]


class Transfer:
    """One way, with its buffers, for batches of any size that the engine takes; to be used while ``cuda`` is current.

    The first run with a batch size is plain, which finishes what TensorRT puts off to the first run; the second captures a CUDA
    graph: upload, network, download. Where that cannot be, ``not_captured`` says why.
    """

    def __init__(self, cuda: Cuda, log: Any, source: Buffer, pose: Buffer, copies: bool, not_captured: str = "") -> None:
        """``copies``: the buffers' host memory is not the GPU's own; ``not_captured``: why no graph is wanted."""
        self._cuda, self._log, self.source, self.pose, self.copies = cuda, log, source, pose, copies
        self._graph: CudaGraph | None = None
        self._ran, self.not_captured = False, not_captured
        self.set_batch(len(source.host))

    @property
    def captured(self) -> bool:
        """Whether calls with the last batch size replay a CUDA graph."""
        return self._graph is not None

    def set_batch(self, count: int) -> None:
        """Take ``count`` windows from now on."""
        self.drop_graph()
        self._ran, self.batch = False, count
        self._input, self._output = self.source.host[:count], self.pose.host[:count]  # a prefix of a whole array is contiguous

    def run(self, keypoints: Float32Array, enqueue: Enqueue) -> Float32Array | None:
        """Lift a batch; ``enqueue`` starts the network. None if it does not start; raises ``CudaGraphError``."""
        if self._graph is None and self._ran and not self.not_captured:
            self._capture(enqueue)
        np.copyto(self._input, keypoints)
        if self._graph is not None:
            self._graph.launch()
        elif not self._enqueue(enqueue):
            return None
        self._cuda.wait()  # before that, mapped memory too holds the poses of the last call
        self._ran = True
        return self._output.copy()

    def _enqueue(self, enqueue: Enqueue) -> bool:
        if self.copies:
            self._cuda.upload(self._input, self.source.device)
        started = enqueue()
        if self.copies:
            self._cuda.download(self._output, self.pose.device)
        return started

    def _capture(self, enqueue: Enqueue) -> None:
        def start() -> bool:
            with suppress(Exception):  # what pycuda raises under capture must not leave the stream capturing
                return self._enqueue(enqueue)
            return False

        try:
            self._graph = CudaGraph(ctypes.CDLL("libcuda.so.1"), self._cuda.stream, start)
        except (OSError, AttributeError, CudaGraphError) as error:
            self.not_captured = str(error)
            self._settle(enqueue)

    def _settle(self, enqueue: Enqueue) -> None:
        """Run once and look away: the error that a refused capture leaves is told by the next call, which it is not about."""
        with suppress(Exception):
            self._enqueue(enqueue)
            self._cuda.wait()
        del self._log.errors[:]

    def drop_graph(self) -> None:
        """Release the CUDA graph."""
        if self._graph is not None:
            self._graph.close()
        self._graph = None
