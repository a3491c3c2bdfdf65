"""The few calls of the CUDA driver's C interface that are made without pycuda, on the fake GPU."""

from __future__ import annotations

import ctypes
from typing import Any

from tests.doubles.gpu import Gpu

SUCCESS, INVALID_VALUE, INVALID_CONTEXT, CAPTURE_INVALIDATED = 0, 1, 201, 901


class LibcudaBefore114:
    """The driver of JetPack 4: graphs are made executable by a call with five arguments."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def cuCtxPopCurrent_v2(self, popped: Any) -> int:
        if not self._gpu.contexts:
            return INVALID_CONTEXT
        self._gpu.contexts.pop()
        return SUCCESS

    def cuStreamBeginCapture_v2(self, stream: ctypes.c_void_p, mode: int) -> int:
        queue = self._gpu.queues.get(stream.value or 0)
        if queue is None or mode not in (0, 1, 2) or queue.recorded is not None or queue.pending:
            return INVALID_VALUE
        queue.recorded = []
        self._gpu.on_capture()
        return SUCCESS

    def cuStreamEndCapture(self, stream: ctypes.c_void_p, graph: Any) -> int:
        queue = self._gpu.queues[stream.value or 0]
        if queue.recorded is None:
            return CAPTURE_INVALIDATED
        graph._obj.value = self._new_graph(queue.recorded)
        queue.recorded = None
        return SUCCESS

    def cuGraphInstantiate(self, executable: Any, graph: ctypes.c_void_p, node: None, log: None, size: ctypes.c_size_t) -> int:
        return self._instantiate(executable, graph)

    def cuGraphLaunch(self, executable: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:
        if self._gpu.launch_status:
            return self._gpu.launch_status
        for work in self._gpu.graphs[executable.value or 0]:
            self._gpu.submit(stream.value or 0, work)
        return SUCCESS

    def cuGetErrorString(self, status: int, text: Any) -> int:
        text._obj.value = {700: b"an illegal memory access was encountered"}.get(status, b"invalid argument")
        return SUCCESS

    def cuGraphDestroy(self, graph: ctypes.c_void_p) -> int:
        return SUCCESS if self._gpu.graphs.pop(graph.value or 0, None) is not None else INVALID_VALUE

    def cuGraphExecDestroy(self, executable: ctypes.c_void_p) -> int:
        return self.cuGraphDestroy(executable)

    def _new_graph(self, works: list[Any]) -> int:
        handle = self._gpu.new_handle()
        self._gpu.graphs[handle] = works
        return handle

    def _instantiate(self, executable: Any, graph: ctypes.c_void_p) -> int:
        executable._obj.value = self._new_graph(list(self._gpu.graphs[graph.value or 0]))
        return SUCCESS


class Libcuda(LibcudaBefore114):
    """The driver from CUDA 11.4 on."""

    def cuGraphInstantiateWithFlags(self, executable: Any, graph: ctypes.c_void_p, flags: ctypes.c_ulonglong) -> int:
        return self._instantiate(executable, graph) if flags.value == 0 else INVALID_VALUE
