"""A stand-in for ``pycuda.driver`` on the fake GPU; ``pycuda.autoinit`` does not exist here."""

from __future__ import annotations

import time
import weakref
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.doubles.gpu import DEVICEMAP, CudaError, CudaLogicError, CudaMemoryError, Gpu, Queue

MULTIPROCESSOR_COUNT, INTEGRATED, CAN_MAP_HOST_MEMORY = 16, 18, 19  # CU_DEVICE_ATTRIBUTE_...
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
Host = np.ndarray[Any, Any]


def make_pycuda(gpu: Gpu) -> dict[str, ModuleType]:
    """Return the modules by name, as they go into ``sys.modules``."""
    driver = ModuleType("pycuda.driver")
    for name, value in _members(_Driver(gpu)).items():
        setattr(driver, name, value)
    package = ModuleType("pycuda")
    package.__path__ = []
    setattr(package, "driver", driver)  # noqa: B010  # a module type has no such attribute
    return {"pycuda": package, "pycuda.driver": driver}


def _members(driver: _Driver) -> dict[str, Any]:
    functions = (
        "init",
        "get_version",
        "get_driver_version",
        "mem_alloc",
        "pagelocked_empty",
        "memcpy_htod_async",
        "memcpy_dtoh_async",
    )
    classes = ("Device", "Stream", "Event")
    errors = {"Error": CudaError, "LogicError": CudaLogicError, "MemoryError": CudaMemoryError}
    attributes = SimpleNamespace(
        MULTIPROCESSOR_COUNT=MULTIPROCESSOR_COUNT, INTEGRATED=INTEGRATED, CAN_MAP_HOST_MEMORY=CAN_MAP_HOST_MEMORY
    )
    enumerations = {"device_attribute": attributes, "host_alloc_flags": SimpleNamespace(PORTABLE=1, DEVICEMAP=DEVICEMAP)}
    return {name: getattr(driver, name) for name in functions + classes} | errors | enumerations


class _Driver:
    """The functions of the module."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.initialized = gpu, False

    def init(self) -> None:
        self.initialized = True

    def get_version(self) -> tuple[int, int, int]:
        return 12, 6, 0

    def get_driver_version(self) -> int:
        return 12060

    def Device(self, number: int) -> _Device:
        if not self.initialized:
            raise CudaLogicError("cuDeviceGet failed: initialization error")
        return _Device(self.gpu)

    def Stream(self, flags: int = 0) -> _Stream:
        return _Stream(self.gpu, flags)

    def Event(self, flags: int = 0) -> _Event:
        return _Event(self.gpu)

    def mem_alloc(self, size: int) -> _Allocation:
        return _Allocation(self.gpu, size)

    def pagelocked_empty(self, shape: tuple[int, ...], dtype: Any, order: str = "C", mem_flags: int = 0) -> Host:
        self.gpu.need_context("cuMemHostAlloc")
        return _HostAllocation(self.gpu, shape, np.dtype(dtype), mem_flags).as_array()

    def memcpy_htod_async(self, dest: Any, src: Host, stream: _Stream) -> None:
        self.gpu.need_pinned(src)
        target = self.gpu.device_bytes(int(dest), src.nbytes)

        def copy() -> None:
            time.sleep(self.gpu.copy_s)
            target[:] = src.tobytes()

        self.gpu.submit(stream.handle, copy)

    def memcpy_dtoh_async(self, dest: Host, src: Any, stream: _Stream) -> None:
        self.gpu.need_pinned(dest)
        source = self.gpu.device_bytes(int(src), dest.nbytes)
        self.gpu.submit(stream.handle, lambda: np.copyto(dest, np.frombuffer(source, dest.dtype).reshape(dest.shape)))


class _Device:
    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def name(self) -> str:
        return self._gpu.name

    def compute_capability(self) -> tuple[int, int]:
        return self._gpu.capability

    def total_memory(self) -> int:
        return self._gpu.memory

    def get_attribute(self, attribute: int) -> int:
        known = {MULTIPROCESSOR_COUNT: self._gpu.sms, INTEGRATED: int(self._gpu.integrated), CAN_MAP_HOST_MEMORY: 1}
        return known[attribute]

    def retain_primary_context(self) -> _Context:
        return _Context(self._gpu)


class _Context:
    """The primary context: current between push and pop, released by detach.

    Where the last reference goes before, the real one's destructor calls ``cuCtxDetach``, which is for contexts that
    were created: it prints a warning and releases nothing. Its ``detach`` leaves the driver's own stack as it is, since
    ``cuDevicePrimaryCtxRelease`` pops nothing (``cuda.hpp`` of 2020.1 and 2026.1).
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu, self._valid = gpu, True
        gpu.retained += 1

    def detach(self) -> None:
        known = self._gpu.pycuda_contexts
        if not self._valid or not known or known[-1] is not self:
            raise CudaLogicError("context::detach failed: invalid device context - cannot detach from invalid context")
        known.pop()
        self._gpu.retained -= 1
        self._valid = False
        self._make_current(known)

    def push(self) -> None:
        known = self._gpu.pycuda_contexts
        if known:
            self._gpu.contexts.pop()
        known.append(self)
        self._make_current(known)

    def pop(self) -> None:
        known = self._gpu.pycuda_contexts
        if not known:
            raise CudaLogicError("context::pop failed: invalid device context - cannot pop non-current context")
        self._gpu.contexts.pop()
        known.pop()
        self._make_current(known)

    def _make_current(self, known: list[object]) -> None:
        if known:
            self._gpu.contexts.append(self._gpu)

    def __del__(self) -> None:
        if self._valid:
            self._gpu.mistakes.append("primary context dropped before detach")


class _Stream:
    def __init__(self, gpu: Gpu, flags: int) -> None:
        gpu.need_context("cuStreamCreate")
        self._gpu, self.handle = gpu, gpu.new_handle()
        gpu.queues[self.handle] = Queue(blocking=not flags & NON_BLOCKING)
        gpu.track(self, "stream")

    def synchronize(self) -> None:
        self._gpu.wait(self.handle)


class _Event:
    def __init__(self, gpu: Gpu) -> None:
        gpu.need_context("cuEventCreate")
        self._gpu = gpu
        self._at_ms: float | None = None
        gpu.track(self, "event")

    def record(self, stream: _Stream) -> _Event:
        self._at_ms = None
        self._gpu.submit(stream.handle, self._pass)
        return self

    def time_till(self, later: _Event) -> float:
        if self._at_ms is None or later._at_ms is None:
            raise CudaLogicError("cuEventElapsedTime failed: device not ready")
        return later._at_ms - self._at_ms

    def _pass(self) -> None:
        self._at_ms = self._gpu.clock_ms


class _HostAllocation:
    """The base of the arrays that ``pagelocked_empty`` gives (``numpy_empty`` of pycuda's ``wrap_cudadrv.cpp``)."""

    def __init__(self, gpu: Gpu, shape: tuple[int, ...], dtype: np.dtype[Any], flags: int) -> None:
        self._gpu, self._flags, self._block = gpu, flags, np.full(int(np.prod(shape)) * dtype.itemsize, 0xCD, np.uint8)
        data = (self._block.ctypes.data, False)
        self.__array_interface__ = {"version": 3, "shape": tuple(shape), "typestr": dtype.str, "data": data}

    def as_array(self) -> Host:
        array: Host = np.asarray(self)
        self._array = weakref.ref(array)
        self._gpu.pin(array)
        return array

    def get_device_pointer(self) -> int:
        array = self._array()
        assert array is not None
        return self._gpu.map(array, self._flags)


class _Allocation:
    def __init__(self, gpu: Gpu, size: int) -> None:
        self._gpu, self._address = gpu, gpu.allocate(size)

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        self._gpu.release(self._address)
