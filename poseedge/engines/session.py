"""One engine, ready to run: execution context, buffers, and the way between them."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt as trt

from poseedge.arrays import AnyArray, Float32Array
from poseedge.caches import NEXT
from poseedge.device.runner.engine.cuda_graph import CudaGraphError
from poseedge.device.runner.engine.memory import COPIED, MAPPED, choose_by_time
from poseedge.device.runner.engine.tensors import BindingApi, TensorApi, numpy_type
from poseedge.device.runner.words import Refused
from poseedge.engines.cuda import Buffer, Cuda, CudaFailure
from poseedge.engines.log import shared_log
from poseedge.engines.transfer import Transfer
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.skeleton import NUM_JOINTS

Shape = tuple[int, ...]


class Session:
    """Runs windows on one stream, as many per call as the engine takes; calls from several threads take turns.

    Where the GPU shares the processor's memory, keypoints and poses are copied into its own part or mapped into it, whichever is
    faster; ``memory`` says so, None where there is no choice. From the second call with a batch size on, a call is one CUDA
    graph; where that cannot be captured, ``not_captured`` says why. A streaming form has ``caches``, shapes by name, and steps.
    """

    def __init__(
        self, path: Path, plan: bytes, cuda: Cuda, host_code: bool = False, cuda_graph: bool = True, pose: str | None = None
    ) -> None:
        """``host_code`` lets the plan bring code of its own, as a version-compatible one does. Closes ``cuda`` if it fails.

        ``pose`` names the output that holds the joints, where others have their shape.
        """
        self._path, self._cuda, self._lock, self._log = path, cuda, threading.Lock(), shared_log()
        self._closed = False
        self._runtime: Any = None
        self._engine: Any = None
        self._context: Any = None
        self._api: Any = None
        self._transfer: Any = None
        self.memory: dict[str, Any] | None = None
        try:
            with cuda:
                self._load(plan, host_code)
                self._allocate(pose)
                self._transfer = self._way(self._buffers, "" if cuda_graph else "not asked for")
                if cuda.mappable and cuda_graph:
                    self._choose_memory()
        except BaseException:
            self.close()
            raise

    def _load(self, plan: bytes, host_code: bool) -> None:
        del self._log.errors[:]
        self._runtime = trt.Runtime(self._log)
        if host_code:
            self._runtime.engine_host_code_allowed = True
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            what = f"{self._path}: TensorRT {trt.__version__} cannot load it: {self._log.words()}"
            raise ArtefactError(what, "build it on this device: poseedge build")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise ArtefactError(f"{self._path}: no execution context: {self._log.words()}", "is the device out of memory?")
        self._api = (TensorApi if hasattr(self._engine, "num_io_tensors") else BindingApi)(trt, self._engine, self._context)

    def _allocate(self, pose: str | None) -> None:
        """Give every tensor its memory, enough for the largest batch."""
        source = self._api.inputs[0]
        self.source_shape: Shape = self._api.tensor(source)[1]  # -1 where the batch is free
        if -1 in self.source_shape:
            self._api.set_shape(source, self._largest(source))
        buffers = {}
        for name in self._api.names:
            try:
                dtype, shape = self._api.tensor(name)
                buffers[name] = self._cuda.allocate(shape, numpy_type(trt, dtype))
            except Refused as error:
                raise ArtefactError(f"{self._path}: {name}: {error}") from error
            if not self._api.bind(name, buffers[name].device):
                raise ArtefactError(f"{self._path}: TensorRT refuses the memory of {name}: {self._log.words()}")
        poses = (
            [pose]
            if pose
            else [n for n, b in buffers.items() if n not in self._api.inputs and b.host.shape[-2:] == (NUM_JOINTS, 3)]
        )
        self.caches = {name: buffers[name].host.shape for name in self._api.inputs if name != source}
        after = {name: buffers.get(f"{name}{NEXT}") for name in self.caches}
        kept = [buffer is not None and buffer.host.shape == self.caches[name] for name, buffer in after.items()]
        types = {buffers[name].host.dtype for name in (source, *poses, *self.caches)}
        if len(poses) != 1 or types != {np.dtype(np.float32)} or not all(kept):
            found = ", ".join(f"{n} {b.host.dtype}{list(b.host.shape)}" for n, b in buffers.items())
            raise ArtefactError(f"{self._path}: no lifting engine: expected one float32 input and one pose output, found {found}")
        self._buffers, self._source, self._pose = buffers, source, poses[0]
        self._batch = self.most = buffers[source].host.shape[0]
        self.target_shape = buffers[self._pose].host.shape

    def _largest(self, name: str) -> Shape:
        engine = self._engine
        newer = hasattr(engine, "get_tensor_profile_shape")
        shapes = engine.get_tensor_profile_shape(name, 0) if newer else engine.get_profile_shape(0, name)
        return tuple(shapes[2])

    def _way(self, buffers: dict[str, Buffer], not_captured: str = "") -> Transfer:
        source, pose = buffers[self._source], buffers[self._pose]
        return Transfer(self._cuda, self._log, source, pose, buffers is self._buffers, not_captured)

    def _choose_memory(self) -> None:
        """Take the faster way, by the time that the largest batch takes."""
        try:
            shared = {n: self._cuda.map(self._buffers[n].host.shape, np.float32) for n in (self._source, self._pose)}
        except CudaFailure:
            return
        ways = {COPIED: self._transfer, MAPPED: self._way(shared)}
        windows = np.random.default_rng(0).uniform(-1, 1, ways[COPIED].source.host.shape).astype(np.float32)

        def run(name: str) -> Float32Array:
            self._use(ways[name])
            return self._lift(windows)

        try:
            for name in ways:
                for _ in range(2):  # the second captures
                    run(name)
            self.memory = choose_by_time({name: partial(run, name) for name in ways})
        finally:
            for name, way in ways.items():
                if self.memory is None or name != self.memory["chosen"]:
                    way.drop_graph()
        self._use(ways[self.memory["chosen"]])

    def _use(self, way: Transfer) -> None:
        """Let keypoints and poses lie where ``way`` has them."""
        self._transfer = way
        for name, buffer in ((self._source, way.source), (self._pose, way.pose)):
            if not self._api.bind(name, buffer.device):
                raise ArtefactError(f"{self._path}: TensorRT refuses the memory of {name}: {self._log.words()}")

    @property
    def captured(self) -> bool:
        """Whether calls with the last batch size replay a CUDA graph."""
        return bool(self._transfer.captured)

    @property
    def not_captured(self) -> str:
        """Why calls are not replayed, nothing if they are."""
        return str(self._transfer.not_captured)

    def run(self, keypoints: Float32Array) -> Float32Array:
        """Lift ``(B, T, 17, C)`` with B at most ``most``, and exactly that if the batch is fixed."""
        with self._lock:
            if self._closed:
                raise PoseedgeError(f"{self._path}: has been closed", "load it again")
            with self._cuda:
                return self._lift(keypoints)

    def step(self, keypoints: Float32Array, caches: Sequence[Float32Array]) -> tuple[Float32Array, list[Float32Array]]:
        """Take a frame and the caches of a streaming form; return its pose and the caches for the next one."""
        with self._lock:
            if self._closed:
                raise PoseedgeError(f"{self._path}: has been closed", "load it again")
            with self._cuda:
                for name, value in zip(self.caches, caches, strict=True):
                    np.copyto(self._buffers[name].host, value)
                pose = self._lift(keypoints)
                return pose, [self._buffers[f"{name}{NEXT}"].host.copy() for name in self.caches]

    def _enqueue(self) -> bool:
        for name in self.caches:
            self._cuda.upload(self._buffers[name].host, self._buffers[name].device)
        started = bool(self._api.enqueue(self._cuda.stream))
        for name in self.caches:
            after = self._buffers[f"{name}{NEXT}"]
            self._cuda.download(after.host, after.device)
        return started

    def _lift(self, keypoints: Float32Array) -> Float32Array:
        self._set_batch(len(keypoints))
        try:
            poses = self._transfer.run(keypoints, self._enqueue)
        except CudaGraphError as error:
            raise ArtefactError(f"{self._path}: could not be run as a CUDA graph: {error}", "load it again") from error
        if poses is None:
            raise ArtefactError(f"{self._path}: TensorRT could not run it: {self._log.words()}")
        return poses

    def outputs(self) -> dict[str, AnyArray]:
        """Return all that the last call gave, by name; not what a batch smaller than ``most`` leaves unused."""
        with self._lock, self._cuda:
            found = {name: buffer for name, buffer in self._buffers.items() if name not in self._api.inputs}
            found[self._pose] = self._transfer.pose
            for name, buffer in found.items():
                if name != self._pose or self._transfer.copies:
                    self._cuda.download(buffer.host, buffer.device)
            self._cuda.wait()
            return {name: buffer.host.copy() for name, buffer in found.items()}

    def attach(self, profiler: trt.IProfiler) -> None:
        """Report every layer's time to ``profiler``, which must live as long; not for a session with CUDA graphs."""
        with self._lock, self._cuda:
            self._context.profiler = profiler

    def inspect(self) -> list[Any]:
        """Return TensorRT's description of each layer: a dictionary, or the name alone if it was built to tell no more."""
        with self._lock, self._cuda:
            text = self._engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
        # strict: 8.6 and later put control characters into its strings as they are.
        return list(json.loads(text, strict=False).get("Layers", []))

    def _set_batch(self, count: int) -> None:
        if self._transfer.batch != count:
            self._transfer.set_batch(count)
        if self._batch != count:
            self._batch = count
            if self.source_shape[0] == -1:
                self._api.set_shape(self._source, (count, *self.source_shape[1:]))

    def close(self) -> None:
        """Release everything in the order that TensorRT needs; more calls do no harm."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with self._cuda:
                with suppress(Exception):  # after a failed run there may be nothing to wait for
                    self._cuda.wait()
                if self._transfer is not None:
                    self._transfer.drop_graph()
                self._transfer = None
                self._api = self._context = None
                self._engine = None
                self._runtime = None
                self._buffers = {}
            self._cuda.close()
