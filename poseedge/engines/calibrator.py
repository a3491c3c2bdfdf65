"""INT8 scales for a graph without Q/DQ: TensorRT's implicit calibration, up to 10.x."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import tensorrt as trt

from poseedge.arrays import Float32Array
from poseedge.engines.cuda import Buffer, Cuda


@dataclass(frozen=True)
class Feed:
    """What calibrates a network."""

    windows: Float32Array  # (N, T, 17, C)
    batch: int  # windows that the network takes at a time
    cuda: Cuda  # holds one batch on the device
    cache: bytes | None = None  # of an earlier calibration of the same graph on the same windows

    def allocate(self) -> Buffer:
        """Return memory for a batch."""
        return self.cuda.allocate((self.batch, *self.windows.shape[1:]), np.float32)

    def upload(self, buffer: Buffer) -> Iterator[int]:
        """Copy batch after batch to the device and yield its address there; windows that fill none are left out."""
        for start in range(0, len(self.windows) - self.batch + 1, self.batch):
            np.copyto(buffer.host, self.windows[start : start + self.batch])
            self.cuda.upload(buffer.host, buffer.device)
            self.cuda.wait()
            yield buffer.device


def make_calibrator(feed: Feed) -> Any:
    """Return a min-max calibrator, the usual one for transformers.

    Its ``failure`` is what went wrong in it, to be raised after the build: TensorRT 8.2 aborts the process when an
    exception leaves a callback, later ones only print it. Its ``cache`` is what TensorRT found.
    """

    class Calibrator(trt.IInt8MinMaxCalibrator):
        def __init__(self) -> None:
            trt.IInt8MinMaxCalibrator.__init__(self)
            self.failure: BaseException | None = None
            self.cache = feed.cache
            self._batches = feed.upload(feed.allocate())  # the instance's own: a class outlives the context of its buffer

        def get_batch_size(self) -> int:
            return feed.batch

        def get_batch(self, names: list[str]) -> list[int]:
            with self._guarded():
                return [*islice(self._batches, 1)]
            return []

        def read_calibration_cache(self) -> bytes | None:
            return self.cache

        def write_calibration_cache(self, cache: Any) -> None:
            with self._guarded():
                self.cache = bytes(cache)  # a view of memory that TensorRT takes back

        @contextmanager
        def _guarded(self) -> Iterator[None]:
            try:
                yield
            except BaseException as error:
                self.failure = error.with_traceback(None)  # whose frames would keep the buffer beyond its context

    return Calibrator()
