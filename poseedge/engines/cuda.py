"""The little of CUDA that an engine needs, through pycuda, or through cuda-python where pycuda is not installed."""

from __future__ import annotations

import ctypes
import importlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from poseedge.arrays import AnyArray
from poseedge.device.runner.engine.context import NON_BLOCKING, release_primary
from poseedge.device.runner.engine.memory import may_be_mapped, shares_memory
from poseedge.device.runner.machine import module_memory_gib
from poseedge.errors import PoseedgeError

HINT = "on a Jetson: export PATH=/usr/local/cuda/bin:$PATH && pip install pycuda; elsewhere: pip install pycuda or cuda-bindings"

FULL = "end other programs on the GPU; a Jetson's desktop shares its memory: sudo systemctl isolate multi-user.target"


class CudaFailure(PoseedgeError):
    """A CUDA call failed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, FULL if "out of memory" in message else "")


@dataclass(frozen=True)
class Buffer:
    """Page-locked host memory for one tensor, and as much device memory, or the host memory itself mapped into the GPU."""

    host: AnyArray
    device: int  # address


class Cuda(Protocol):
    """Device 0: its primary context, one stream and the buffers made here. ``with cuda:`` makes it current in this thread.

    Every method but ``close`` needs that, and raises ``CudaFailure``.
    """

    library: str
    capability: tuple[int, int]
    gpu: str
    sms: int  # multiprocessors
    memory_gib: int  # of the module, as sold
    mappable: bool  # the GPU shares the processor's memory and its caches
    version: str  # of CUDA, as the library was built with or brings
    driver: str  # newest CUDA that the driver takes
    stream: int  # handle

    def __enter__(self) -> Cuda: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def allocate(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Buffer:
        """Return memory for one tensor; freed by ``close``."""

    def map(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Buffer:
        """Return host memory that the GPU reads and writes itself; what it wrote is there after ``wait``."""

    def upload(self, host: AnyArray, device: int) -> None:
        """Start copying page-locked ``host`` to ``device`` on the stream."""

    def download(self, host: AnyArray, device: int) -> None:
        """Start copying ``device`` to page-locked ``host`` on the stream."""

    def wait(self) -> None:
        """Return when the stream has done its work."""

    def close(self) -> None:
        """Free the buffers and the stream, and let go of the context."""


def open_cuda() -> Cuda:
    """Return device 0, through whichever library is installed; raises ``PoseedgeError`` if there is none, or no device."""
    missing = []
    for name, opener in (("pycuda.driver", Pycuda), ("cuda.bindings.runtime", CudaPython), ("cuda.cudart", CudaPython)):
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            missing.append(str(error))
            continue
        return opener(module)
    raise PoseedgeError(f"neither pycuda nor cuda-python is installed here ({'; '.join(missing)})", HINT)


def forget_frames(error: BaseException | None) -> None:
    """Drop what the frames of a failed call hold of TensorRT: it must go while the context is still current."""
    if error is not None:
        traceback.clear_frames(error.__traceback__)


class Pycuda:
    """As ``Cuda``, without ``pycuda.autoinit``: the primary context is shared with all other users of the device."""

    library = "pycuda"

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        try:
            driver.init()
            device = driver.Device(0)
            self._context = device.retain_primary_context()
        except driver.Error as error:
            raise CudaFailure(f"no usable CUDA device: {error}") from error
        self.capability, self.gpu = device.compute_capability(), device.name()
        self.sms = int(device.get_attribute(driver.device_attribute.MULTIPROCESSOR_COUNT))
        self.memory_gib = module_memory_gib(device.total_memory())
        self.mappable = shares_memory(driver, device)
        self.version = ".".join(map(str, driver.get_version()[:2]))
        self.driver = dotted(driver.get_driver_version())
        self._memory: list[Any] = []
        self._stream: Any = None
        try:
            with self:
                self._stream = driver.Stream(NON_BLOCKING)
        except CudaFailure:
            self.close()
            raise
        self.stream = int(self._stream.handle)

    def __enter__(self) -> Pycuda:
        self._context.push()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        forget_frames(error)
        self._context.pop()
        if isinstance(error, self._driver.Error):
            raise CudaFailure(f"CUDA failed: {error}") from error

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._driver.Error as error:
            raise CudaFailure(f"CUDA failed: {error}") from error

    def allocate(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Buffer:
        host = self._call(self._driver.pagelocked_empty, shape, dtype)
        memory = self._call(self._driver.mem_alloc, max(host.nbytes, 1))
        self._memory.append(memory)
        return Buffer(host, int(memory))

    def map(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Buffer:
        host = self._call(self._driver.pagelocked_empty, shape, dtype, "C", self._driver.host_alloc_flags.DEVICEMAP)
        return Buffer(host, int(self._call(host.base.get_device_pointer)))

    def upload(self, host: AnyArray, device: int) -> None:
        self._call(self._driver.memcpy_htod_async, device, host, self._stream)

    def download(self, host: AnyArray, device: int) -> None:
        self._call(self._driver.memcpy_dtoh_async, host, device, self._stream)

    def wait(self) -> None:
        self._call(self._stream.synchronize)

    def close(self) -> None:
        self._context.push()
        try:
            for memory in self._memory:
                memory.free()
        finally:
            self._memory.clear()
            self._stream = None
            release_primary(self._context)


class CudaPython:
    """As ``Cuda``, on the runtime interface of cuda-python (``cuda-bindings``), which uses the primary context by itself."""

    library = "cuda-python"

    def __init__(self, cudart: ModuleType) -> None:
        self._cudart: Any = cudart
        self._memory: list[int] = []
        self._locked: list[int] = []
        kinds, attributes = cudart.cudaMemcpyKind, cudart.cudaDeviceAttr
        self._up, self._down = kinds.cudaMemcpyHostToDevice, kinds.cudaMemcpyDeviceToHost
        try:
            self._call("cudaSetDevice", 0)
        except CudaFailure as error:
            raise CudaFailure(f"no usable CUDA device: {error.message}") from error
        wanted = ("ComputeCapabilityMajor", "ComputeCapabilityMinor", "Integrated", "CanMapHostMemory")
        told = [int(self._call("cudaDeviceGetAttribute", getattr(attributes, f"cudaDevAttr{name}"), 0)) for name in wanted]
        self.capability = told[0], told[1]
        self.mappable = may_be_mapped(self.capability, *told[2:])
        properties = self._call("cudaGetDeviceProperties", 0)
        self.gpu = properties.name.decode().rstrip("\0")
        self.sms, self.memory_gib = int(properties.multiProcessorCount), module_memory_gib(properties.totalGlobalMem)
        self.version = dotted(self._call("cudaRuntimeGetVersion"))
        self.driver = dotted(self._call("cudaDriverGetVersion"))
        self._stream = self._call("cudaStreamCreateWithFlags", NON_BLOCKING)
        self.stream = int(self._stream)

    def _call(self, name: str, *arguments: Any) -> Any:
        status, *results = getattr(self._cudart, name)(*arguments)
        if status != self._cudart.cudaError_t.cudaSuccess:
            _, words = self._cudart.cudaGetErrorString(status)
            raise CudaFailure(f"CUDA failed: {name}: {words.decode() if isinstance(words, bytes) else words}")
        return results[0] if results else None

    def __enter__(self) -> CudaPython:
        self._call("cudaSetDevice", 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        forget_frames(error)

    def allocate(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Buffer:
        size = max(int(np.prod(shape)) * np.dtype(dtype).itemsize, 1)
        self._locked.append(int(self._call("cudaMallocHost", size)))
        self._memory.append(int(self._call("cudaMalloc", size)))
        return Buffer(array_at(self._locked[-1], shape, dtype), self._memory[-1])

    def map(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Buffer:
        size = max(int(np.prod(shape)) * np.dtype(dtype).itemsize, 1)
        self._locked.append(int(self._call("cudaHostAlloc", size, self._cudart.cudaHostAllocMapped)))
        device = int(self._call("cudaHostGetDevicePointer", self._locked[-1], 0))
        return Buffer(array_at(self._locked[-1], shape, dtype), device)

    def upload(self, host: AnyArray, device: int) -> None:
        self._call("cudaMemcpyAsync", device, host.ctypes.data, host.nbytes, self._up, self._stream)

    def download(self, host: AnyArray, device: int) -> None:
        self._call("cudaMemcpyAsync", host.ctypes.data, device, host.nbytes, self._down, self._stream)

    def wait(self) -> None:
        self._call("cudaStreamSynchronize", self._stream)

    def close(self) -> None:
        with self:
            while self._memory:
                self._call("cudaFree", self._memory.pop())
            while self._locked:
                self._call("cudaFreeHost", self._locked.pop())
            self._call("cudaStreamDestroy", self._stream)


def array_at(address: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> AnyArray:
    """Return the array that lies in the process's memory at ``address``."""
    count = int(np.prod(shape))
    block = memoryview((ctypes.c_uint8 * max(count * np.dtype(dtype).itemsize, 1)).from_address(address))
    return np.frombuffer(block, dtype, count=count).reshape(shape)


def dotted(version: int) -> str:
    """Return 12060 as ``12.6``."""
    return f"{version // 1000}.{version % 1000 // 10}"
