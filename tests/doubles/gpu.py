"""A fake GPU: memory at integer addresses, streams that work only when waited for, graphs, and a record of mistakes."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Work = Callable[[], None]
DEVICEMAP = 2  # CU_MEMHOSTALLOC_DEVICEMAP, and cudaHostAllocMapped
LAUNCH_MS = 0.5  # what every network takes on this GPU


class CudaError(Exception):
    """What pycuda calls ``Error``."""


class CudaLogicError(CudaError):
    """What pycuda calls ``LogicError``."""


class CudaMemoryError(CudaError):
    """What pycuda calls ``MemoryError``."""


@dataclass
class Queue:
    """A stream: work waits until somebody waits for it; under capture it is recorded instead."""

    blocking: bool = True  # waits for the legacy stream, and the legacy stream for it
    pending: list[Work] = field(default_factory=list)
    recorded: list[Work] | None = None


class Gpu:
    """One device of a given compute capability and memory."""

    def __init__(self, capability: tuple[int, int] = (8, 7), memory: int = 1 << 30, name: str = "Orin", sms: int = 8) -> None:
        """A Jetson's GPU shares the processor's memory if ``integrated`` is set; copies and mapped memory may be slow."""
        self.capability, self.memory, self.name = capability, memory, name
        self._contexts: dict[int, list[object]] = {}  # the driver's stacks, by thread, the current one last
        self._pycuda_contexts: dict[int, list[object]] = {}  # pycuda's own
        self._runtime_threads: set[int] = set()
        self.retained = 0
        self.alive: Counter[str] = Counter()
        self.mistakes: list[str] = []
        self.sms = sms
        self.integrated = False
        self.copy_s = self.mapped_s = 0.0  # what a copy takes, and a run that reads or writes mapped memory
        self.maps = True  # mapping works
        self.torn = False  # mapped memory shows the processor something else than what the GPU wrote
        self.on_capture: Work = lambda: None  # what other threads do while a stream captures
        self.launch_status = 0  # what cuGraphLaunch returns
        self.clock_ms = 0.0
        self.reserved = 0
        self.queues: dict[int, Queue] = {}
        self.graphs: dict[int, list[Work]] = {}
        self._blocks: dict[int, bytearray] = {}
        self._pinned: dict[int, int] = {}
        self._mapped: dict[int, weakref.ref[np.ndarray[Any, Any]]] = {}  # host memory by the address that it has for the GPU
        self._addresses = itertools.count(0x7F00_0000_0000, 1 << 24)
        self._handles = itertools.count(0x5500_0000_0000, 64)

    @property
    def free_memory(self) -> int:
        """Bytes neither allocated nor reserved by execution contexts."""
        return self.memory - self.reserved - sum(map(len, self._blocks.values()))

    @property
    def contexts(self) -> list[object]:
        """This thread's stack of contexts."""
        return self._contexts.setdefault(threading.get_ident(), [])

    @property
    def pycuda_contexts(self) -> list[object]:
        """What pycuda takes for this thread's stack of contexts."""
        return self._pycuda_contexts.setdefault(threading.get_ident(), [])

    def use_from_this_thread(self) -> None:
        """Let this thread call the runtime interface, which makes the primary context current by itself."""
        self._runtime_threads.add(threading.get_ident())

    def has_context(self) -> bool:
        """Whether a context is current in this thread."""
        return bool(self.contexts) or threading.get_ident() in self._runtime_threads

    def leftovers(self) -> dict[str, int]:
        """Return what was not released, by kind."""
        left = {kind: count for kind, count in self.alive.items() if count}
        left |= {
            "allocation": len(self._blocks),
            "current context": sum(map(len, self._contexts.values())),
            "retained context": self.retained,
        }
        left |= {"graph": len(self.graphs)}
        return {kind: count for kind, count in left.items() if count}

    def need_context(self, what: str) -> None:
        """Every CUDA call needs a current context."""
        if not self.has_context():
            raise CudaLogicError(f"{what} failed: invalid device context")

    def track(self, thing: Any, kind: str) -> None:
        """Count ``thing`` until it is released, which must happen while a context is current."""
        self.alive[kind] += 1
        weakref.finalize(thing, self._released, kind).atexit = False

    def _released(self, kind: str) -> None:
        self.alive[kind] -= 1
        if not self.has_context():
            self.mistakes.append(f"{kind} released without a current context")

    def allocate(self, size: int) -> int:
        """Return the address of ``size`` new bytes of device memory."""
        self.need_context("cuMemAlloc")
        if size > self.free_memory:
            raise CudaMemoryError("cuMemAlloc failed: out of memory")
        address = next(self._addresses)
        self._blocks[address] = bytearray(b"\xcd" * size)
        return address

    def release(self, address: int) -> None:
        """Free device memory."""
        self.need_context("cuMemFree")
        del self._blocks[address]

    def device_bytes(self, address: int, size: int) -> memoryview:
        """Return device memory, or say that the address is none: the real thing would stop with a sticky error."""
        if not isinstance(address, int):
            raise TypeError(f"a device address is an int, not {type(address).__name__}")
        for start, known in list(self._mapped.items()):
            array = known()
            if array is not None and start <= address and address + size <= start + array.nbytes:
                return array.data.cast("B")[address - start : address - start + size]
        for start, block in self._blocks.items():
            if start <= address and address + size <= start + len(block):
                return memoryview(block)[address - start : address - start + size]
        raise CudaLogicError(f"an illegal memory access was encountered: {size} bytes at {address:#x}")

    def pin(self, array: np.ndarray[Any, Any]) -> None:
        """Remember ``array`` as page-locked host memory."""
        address = array.ctypes.data
        self._pinned[address] = array.nbytes
        weakref.finalize(array, self._pinned.pop, address, None).atexit = False
        self.track(array, "page-locked buffer")

    def map(self, array: np.ndarray[Any, Any], flags: int) -> int:
        """Return the address that page-locked memory has for the GPU: none that was not allocated to be mapped."""
        self.need_context("cuMemHostGetDevicePointer")
        if not self.maps:
            raise CudaError("cuMemHostGetDevicePointer failed: operation not supported")
        if not flags & DEVICEMAP or array.ctypes.data not in self._pinned:
            raise CudaLogicError("cuMemHostGetDevicePointer failed: invalid argument")
        address = next(self._addresses)
        self._mapped[address] = weakref.ref(array)
        return address

    def is_mapped(self, address: int) -> bool:
        """Whether an address is that of the processor's memory."""
        found = [(start, known()) for start, known in list(self._mapped.items())]
        return any(array is not None and start <= address < start + array.nbytes for start, array in found)

    def need_pinned(self, array: np.ndarray[Any, Any]) -> None:
        """An asynchronous copy needs contiguous page-locked memory on the host."""
        address, size = array.ctypes.data, array.nbytes
        locked = any(start <= address and address + size <= start + length for start, length in self._pinned.items())
        if not locked or not array.flags.c_contiguous:
            self.mistakes.append("asynchronous copy of memory that is not page-locked")

    def new_handle(self) -> int:
        """Return a number for a stream, event or graph; never 0."""
        return next(self._handles)

    def submit(self, stream: int, work: Work) -> None:
        """Put ``work`` on a stream, or into the graph that the stream is recording."""
        if stream == 0:
            self.mistakes.append("work on the default stream")
            self.legacy_call()
            work()
            return
        queue = self.queues[stream]
        (queue.pending if queue.recorded is None else queue.recorded).append(work)

    def legacy_call(self) -> None:
        """Do work on the legacy stream, as other code in the process may; CUDA refuses it while a blocking stream captures.

        cudaErrorStreamCaptureImplicit of the runtime's documentation; seen by roboflow/inference in #2866.
        """
        if any(queue.blocking and queue.recorded is not None for queue in self.queues.values()):
            raise CudaLogicError("operation would make the legacy stream depend on a capturing blocking stream (906)")

    def wait(self, stream: int) -> None:
        """Do everything that waits on a stream."""
        queue = self.queues[stream]
        if queue.recorded is not None:
            raise CudaLogicError("cuStreamSynchronize failed: operation not permitted when stream is capturing")
        while queue.pending:
            queue.pending.pop(0)()
