"""CUDA graphs, captured through the driver's C interface: pycuda binds none."""

import ctypes
from typing import Any, Callable


class CudaGraphError(Exception):
    """The driver cannot capture or replay this network."""


class CudaGraph:
    """One captured start of the network, to be replayed."""

    def __init__(self, driver: Any, stream: int, enqueue: Callable[[], bool]) -> None:
        self.driver, self.stream, self.executable = driver, ctypes.c_void_p(stream), ctypes.c_void_p()
        captured = ctypes.c_void_p()
        thread_local = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads' calls do not disturb
        self.check(driver.cuStreamBeginCapture_v2(self.stream, thread_local), "cuStreamBeginCapture")
        started = enqueue()
        self.check(driver.cuStreamEndCapture(self.stream, ctypes.byref(captured)), "cuStreamEndCapture")
        try:
            if not started:
                raise CudaGraphError("TensorRT does not start this network under capture")
            self.check(self.instantiate(captured), "cuGraphInstantiate")
        finally:
            driver.cuGraphDestroy(captured)

    def instantiate(self, captured: ctypes.c_void_p) -> int:
        """Make the captured graph executable; the three-argument call came with CUDA 11.4."""
        if hasattr(self.driver, "cuGraphInstantiateWithFlags"):
            return int(self.driver.cuGraphInstantiateWithFlags(ctypes.byref(self.executable), captured, ctypes.c_ulonglong(0)))
        return int(self.driver.cuGraphInstantiate(ctypes.byref(self.executable), captured, None, None, ctypes.c_size_t(0)))

    def launch(self) -> None:
        """Replay it on the stream that it was captured on; raises ``CudaGraphError`` with CUDA's status."""
        self.check(self.driver.cuGraphLaunch(self.executable, self.stream), "cuGraphLaunch")

    def close(self) -> None:
        """Release the executable graph."""
        self.driver.cuGraphExecDestroy(self.executable)

    def check(self, status: int, call: str) -> None:
        """Raise if the driver refused ``call``."""
        if status != 0:
            text = ctypes.c_char_p()
            self.driver.cuGetErrorString(status, ctypes.byref(text))
            words = (text.value or b"unknown").decode()
            raise CudaGraphError("{} returned CUDA error {}: {}".format(call, status, words))
