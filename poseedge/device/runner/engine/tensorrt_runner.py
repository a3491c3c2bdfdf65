"""An engine that runs."""

import ctypes
from contextlib import suppress
from typing import Any, Dict, NamedTuple, Optional

import numpy as np

from poseedge.device.runner.bundle import Bundle, pose_output
from poseedge.device.runner.engine.context import NON_BLOCKING
from poseedge.device.runner.engine.cuda_graph import CudaGraph, CudaGraphError
from poseedge.device.runner.engine.plan_file import PlanFile
from poseedge.device.runner.engine.tensors import BindingApi, TensorApi, numpy_type
from poseedge.device.runner.words import Refused


class Buffer(NamedTuple):
    """Page-locked host memory and device memory of one tensor."""

    host: Any
    device: Any


class TensorRTRunner:
    """One engine, one CUDA stream, one window at a time; to be used and closed inside ``primary_context``."""

    backend, threads = "tensorrt", None

    def __init__(self, trt: Any, cuda: Any, log: Any, bundle: Bundle, context: Any, plan: PlanFile) -> None:
        self.trt, self.cuda, self.log, self.primary = trt, cuda, log, context
        self.provider = "TensorRT {} {}".format(trt.__version__, plan.identity["sm"])
        self.artefact = plan.path
        self.runtime: Any = None
        self.engine: Any = None
        self.context: Any = None
        self.api: Any = None
        self.graph: Any = None
        self.replaying = True
        self.stream: Any = None
        self.source: Any = None
        self.pose: Any = None
        self.started: Any = None
        self.finished: Any = None
        self.buffers: Dict[str, Buffer] = {}
        try:
            self.stream = cuda.Stream(NON_BLOCKING)
            self.started, self.finished = cuda.Event(), cuda.Event()
            self.runtime = trt.Runtime(log)
            self.engine = plan.open(self.runtime)
            self.context = self.engine.create_execution_context()
            if self.context is None:
                raise Refused("no execution context, is the device out of memory? " + log.words())
            self.api = (TensorApi if hasattr(self.engine, "num_io_tensors") else BindingApi)(trt, self.engine, self.context)
            self.allocate(bundle)
        except BaseException:
            self.close()
            raise
        self.details = dict(plan.identity, file=plan.path.name, build_s=plan.build_s)
        self.machine = {key: plan.identity[key] for key in ("gpu", "sm", "sms", "memory_gib", "tensorrt", "cuda_driver")}

    def allocate(self, bundle: Bundle) -> None:
        """Fix the batch at one window and give every tensor its memory."""
        source, shape = self.api.inputs[0], (1, *bundle.keypoints.shape[1:])
        if -1 in self.api.tensor(source)[1]:
            self.api.set_shape(source, shape)
        if self.api.tensor(source)[1] != shape:
            raise Refused("{} does not take the samples' shape {}".format(bundle.graph, shape))
        for name in self.api.names:
            dtype, shape = self.api.tensor(name)
            host = self.cuda.pagelocked_empty(shape, numpy_type(self.trt, dtype))
            self.buffers[name] = Buffer(host, self.cuda.mem_alloc(host.nbytes))
            if not self.api.bind(name, int(self.buffers[name].device)):
                raise Refused("TensorRT refuses the memory of {}: {}".format(name, self.log.words()))
        shapes = {name: self.buffers[name].host.shape for name in self.api.names if name != source}
        self.source, self.pose = self.buffers[source], self.buffers[pose_output(shapes, bundle)]
        self.shape = bundle.poses.shape[1:]

    @property
    def captured(self) -> bool:
        """Whether the network runs as a CUDA graph."""
        return self.graph is not None and self.replaying

    def replay(self, replaying: bool) -> None:
        """Run the CUDA graph, if there is one, or start the network plainly."""
        self.replaying = replaying

    def infer(self, window: Any) -> Any:
        """Lift one window (T, 17, C) to poses (T_out, 17, 3) in metres."""
        np.copyto(self.source.host[0], window)
        self.cuda.memcpy_htod_async(self.source.device, self.source.host, self.stream)
        self.started.record(self.stream)
        self.start()
        self.finished.record(self.stream)
        self.cuda.memcpy_dtoh_async(self.pose.host, self.pose.device, self.stream)
        self.stream.synchronize()
        return self.pose.host.reshape(self.shape).copy()

    def start(self) -> None:
        """Put the network on the stream."""
        if not self.captured:
            if not self.api.enqueue(self.stream.handle):
                raise Refused("the network could not be started: " + self.log.words())
            return
        try:
            self.graph.launch()
        except CudaGraphError as error:
            raise Refused("the network could not be started: {}".format(error)) from error

    def enter(self) -> None:
        """Make the context current in this thread."""
        self.primary.push()

    def leave(self) -> None:
        """Give this thread back the context that was current before."""
        self.primary.pop()

    def gpu_ms(self) -> float:
        """Return the time of the last run between the events around the network."""
        return float(self.started.time_till(self.finished))

    def capture(self) -> Optional[str]:
        """Replay a CUDA graph from now on; returns the reason if that cannot be."""
        try:
            driver = ctypes.CDLL("libcuda.so.1")
            self.graph = CudaGraph(driver, self.stream.handle, lambda: self.api.enqueue(self.stream.handle))
        except (OSError, AttributeError, CudaGraphError) as error:
            self.settle()
            return str(error)
        return None

    def settle(self) -> None:
        """Run once and look away: the error that a refused capture leaves is told by the next call, which it is not about."""
        with suppress(self.cuda.Error):
            self.api.enqueue(self.stream.handle)
            self.stream.synchronize()
        del self.log.errors[:]

    def close(self) -> None:
        """Release everything in the order that TensorRT needs, while the CUDA context is still current."""
        if self.stream is not None:
            with suppress(self.cuda.Error):  # after a failed run there may be nothing to wait for
                self.stream.synchronize()
        if self.graph is not None:
            self.graph.close()
        self.graph = self.api = None
        self.context = None
        self.engine = None
        self.runtime = None
        for buffer in self.buffers.values():
            buffer.device.free()
        self.buffers = {}
        self.source = self.pose = self.started = self.finished = self.stream = None
