"""An engine that runs."""

import ctypes
from contextlib import suppress
from typing import Any, Callable, Dict, NamedTuple, Optional

import numpy as np

from poseedge.device.runner.bundle import Bundle, pose_output
from poseedge.device.runner.engine.context import NON_BLOCKING
from poseedge.device.runner.engine.cuda_graph import CudaGraph, CudaGraphError
from poseedge.device.runner.engine.memory import COPIED, MAPPED, choose_by_time
from poseedge.device.runner.engine.plan_file import PlanFile
from poseedge.device.runner.engine.tensors import BindingApi, TensorApi, numpy_type
from poseedge.device.runner.words import Refused, note


class Buffer(NamedTuple):
    """Page-locked host memory of one tensor, and where it lies for the GPU."""

    host: Any
    address: int
    device: Any  # the GPU's own memory; None: the host memory is mapped into it


class TensorRTRunner:
    """One engine, one CUDA stream, one window at a time; to be used and closed inside ``primary_context``."""

    backend, threads = "tensorrt", None

    def __init__(self, trt: Any, cuda: Any, log: Any, bundle: Bundle, context: Any, plan: PlanFile, mappable: bool) -> None:
        """``mappable``: the GPU shares the processor's memory."""
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
        self.source = ""
        self.pose = ""
        self.started: Any = None
        self.finished: Any = None
        self.buffers: Dict[str, Buffer] = {}
        self.places: Dict[str, Dict[str, Buffer]] = {}  # of keypoints and poses, by how they get to the GPU
        self.place = COPIED
        self.memory: Optional[Dict[str, Any]] = None  # how that was chosen
        self.mappable = mappable
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
            device = self.cuda.mem_alloc(host.nbytes)
            self.buffers[name] = Buffer(host, int(device), device)
            self.bind(name, self.buffers[name])
        shapes = {name: self.buffers[name].host.shape for name in self.api.names if name != source}
        self.source, self.pose = source, pose_output(shapes, bundle)
        self.places[COPIED] = {name: self.buffers[name] for name in (self.source, self.pose)}
        self.shape = bundle.poses.shape[1:]

    def bind(self, name: str, buffer: Buffer) -> None:
        """Tell TensorRT where a tensor lies."""
        if not self.api.bind(name, buffer.address):
            raise Refused("TensorRT refuses the memory of {}: {}".format(name, self.log.words()))

    def mapped(self, name: str) -> Buffer:
        """Return host memory for a tensor that the GPU reads and writes itself."""
        like = self.buffers[name].host
        host = self.cuda.pagelocked_empty(like.shape, like.dtype, mem_flags=self.cuda.host_alloc_flags.DEVICEMAP)
        return Buffer(host, int(host.base.get_device_pointer()), None)

    def use(self, place: str) -> None:
        """Let keypoints and poses get to the GPU that way; a CUDA graph of another is none of this one."""
        self.place = place
        for name, buffer in self.places[place].items():
            self.bind(name, buffer)

    def choose_memory(self, window: Any) -> None:
        """Where the GPU shares the processor's memory, take the faster way: copied into its own part, or mapped into it."""
        if not self.mappable:
            return
        try:
            self.places[MAPPED] = {name: self.mapped(name) for name in (self.source, self.pose)}
        except self.cuda.Error as error:
            self.places.pop(MAPPED, None)
            note("no memory is mapped into the GPU: {}".format(error))
            return
        graphs: Dict[str, Any] = {}

        def run(place: str) -> Callable[[], Any]:
            self.use(place)
            self.infer(window)  # TensorRT puts off some of its work to the first run
            self.capture()
            graphs[place], self.graph = self.graph, None

            def again() -> Any:
                self.place, self.graph = place, graphs[place]
                if self.graph is None:
                    self.use(place)
                return self.infer(window)

            return again

        try:
            self.memory = choose_by_time({place: run(place) for place in (COPIED, MAPPED)})
        finally:
            self.graph = None
            for graph in graphs.values():
                if graph is not None:
                    graph.close()
        self.use(self.memory["chosen"])
        self.places = {self.place: self.places[self.place]}

    @property
    def captured(self) -> bool:
        """Whether the network runs as a CUDA graph."""
        return self.graph is not None and self.replaying

    def replay(self, replaying: bool) -> None:
        """Run the CUDA graph, if there is one, or start the network plainly."""
        self.replaying = replaying

    def infer(self, window: Any) -> Any:
        """Lift one window (T, 17, C) to poses (T_out, 17, 3) in metres."""
        source, pose = self.places[self.place][self.source], self.places[self.place][self.pose]
        np.copyto(source.host[0], window)
        if source.device is not None:
            self.cuda.memcpy_htod_async(source.device, source.host, self.stream)
        self.started.record(self.stream)
        self.start()
        self.finished.record(self.stream)
        if pose.device is not None:
            self.cuda.memcpy_dtoh_async(pose.host, pose.device, self.stream)
        self.stream.synchronize()  # mapped memory, too, holds what was before until then
        return pose.host.reshape(self.shape).copy()

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
        self.buffers, self.places = {}, {}
        self.started = self.finished = self.stream = None
