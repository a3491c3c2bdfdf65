"""A stand-in for ``cuda.bindings.runtime`` on the fake GPU: every call returns a tuple that begins with its status."""

from __future__ import annotations

import ctypes
import enum
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.doubles.gpu import DEVICEMAP, CudaError, CudaMemoryError, Gpu, Queue


class Status(enum.IntEnum):
    """As ``cudaError_t``."""

    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2


class CopyKind(enum.IntEnum):
    """As ``cudaMemcpyKind``."""

    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class Attribute(enum.IntEnum):
    """As ``cudaDeviceAttr``."""

    cudaDevAttrIntegrated = 18
    cudaDevAttrCanMapHostMemory = 19
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


def make_cuda_python(gpu: Gpu) -> dict[str, ModuleType]:
    """Return the modules by name, as they go into ``sys.modules``."""
    modules = {name: ModuleType(name) for name in ("cuda", "cuda.bindings", "cuda.bindings.runtime")}
    runtime, calls = modules["cuda.bindings.runtime"], Calls(gpu)
    members = {"cudaError_t": Status, "cudaMemcpyKind": CopyKind, "cudaDeviceAttr": Attribute, "cudaHostAllocMapped": DEVICEMAP}
    members |= {name: guarded(getattr(calls, name)) for name in dir(calls) if name.startswith("cuda")}
    for name, value in members.items():
        setattr(runtime, name, value)
    return modules


def guarded(call: Any) -> Any:
    """Return ``call`` with its errors as statuses."""

    def guarded_call(*arguments: Any) -> tuple[Any, ...]:
        try:
            return (Status.cudaSuccess, *call(*arguments))
        except CudaMemoryError:
            return (Status.cudaErrorMemoryAllocation,)
        except (CudaError, KeyError):
            return (Status.cudaErrorInvalidValue,)

    return guarded_call


class Calls:
    """What the calls return after the status."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.host: dict[int, tuple[np.ndarray[Any, Any], int]] = {}  # with what flags

    def cudaSetDevice(self, number: int) -> tuple[()]:
        self.gpu.use_from_this_thread()
        return ()

    def cudaDeviceGetAttribute(self, attribute: Attribute, device: int) -> tuple[int]:
        major, minor = self.gpu.capability
        known = {
            Attribute.cudaDevAttrIntegrated: int(self.gpu.integrated),
            Attribute.cudaDevAttrCanMapHostMemory: 1,
            Attribute.cudaDevAttrComputeCapabilityMajor: major,
            Attribute.cudaDevAttrComputeCapabilityMinor: minor,
        }
        return (known[attribute],)

    def cudaGetDeviceProperties(self, device: int) -> tuple[SimpleNamespace]:
        known = {"multiProcessorCount": self.gpu.sms, "totalGlobalMem": self.gpu.memory}
        return (SimpleNamespace(name=self.gpu.name.encode(), **known),)

    def cudaRuntimeGetVersion(self) -> tuple[int]:
        return (12060,)

    def cudaDriverGetVersion(self) -> tuple[int]:
        return (12060,)

    def cudaGetErrorString(self, status: Status) -> tuple[bytes]:
        return ({Status.cudaErrorMemoryAllocation: b"out of memory"}.get(status, b"invalid argument"),)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int]:
        self.gpu.need_context("cudaStreamCreate")
        handle = self.gpu.new_handle()
        self.gpu.queues[handle] = Queue(blocking=not flags & 1)  # cudaStreamNonBlocking
        self.gpu.alive["stream"] += 1
        return (handle,)

    def cudaStreamDestroy(self, stream: int) -> tuple[()]:
        del self.gpu.queues[stream]
        self.gpu.alive["stream"] -= 1
        return ()

    def cudaStreamSynchronize(self, stream: int) -> tuple[()]:
        self.gpu.wait(stream)
        return ()

    def cudaMalloc(self, size: int) -> tuple[int]:
        return (self.gpu.allocate(size),)

    def cudaFree(self, address: int) -> tuple[()]:
        self.gpu.release(address)
        return ()

    def cudaMallocHost(self, size: int) -> tuple[int]:
        return self.cudaHostAlloc(size, 0)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[int]:
        self.gpu.need_context("cudaHostAlloc")
        array = np.full(size, 0xCD, np.uint8)
        self.gpu.pin(array)
        self.host[array.ctypes.data] = array, flags
        return (array.ctypes.data,)

    def cudaHostGetDevicePointer(self, address: int, flags: int) -> tuple[int]:
        if flags:
            raise CudaError("flags must be 0")
        return (self.gpu.map(*self.host[address]),)

    def cudaFreeHost(self, address: int) -> tuple[()]:
        del self.host[address]
        return ()

    def cudaMemcpyAsync(self, target: int, source: int, size: int, kind: CopyKind, stream: int) -> tuple[()]:
        upwards = kind is CopyKind.cudaMemcpyHostToDevice
        host, device = (source, target) if upwards else (target, source)
        block = (ctypes.c_uint8 * size).from_address(host)
        self.gpu.need_pinned(np.frombuffer(memoryview(block), np.uint8))
        memory = self.gpu.device_bytes(device, size)

        def copy() -> None:
            time.sleep(self.gpu.copy_s)
            if upwards:
                memory[:] = bytes(block)
            else:
                ctypes.memmove(block, bytes(memory), size)

        self.gpu.submit(stream, copy)
        return ()
