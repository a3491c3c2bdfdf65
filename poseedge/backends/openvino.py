"""OpenVINO as a lifter: Intel's runtime, on the CPU."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from poseedge.arrays import Float32Array
from poseedge.backends.backend import Backend, Opening
from poseedge.backends.onnxruntime import refuse_streaming_form
from poseedge.errors import ArtefactError, require
from poseedge.lifter import Cost, LifterSpec, check_keypoints, check_poses, lift_in_batches
from poseedge.skeleton import NUM_JOINTS

TELEMETRY = "openvino_telemetry"
EXTRA = "openvino"
DEVICE = "CPU"


class OpenVINOLifter:
    """An ONNX file compiled for the processor. Each thread has a request of its own; they share the compiled network."""

    backend = "openvino"
    provider = DEVICE
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Raises ``ArtefactError`` if ``path`` is no lifting graph, or none that OpenVINO reads."""
        from poseedge.graph.lifting import read_spec  # here alone: other backends do without the memory of ``onnx``

        refuse_streaming_form(path, "OpenVINO")
        core = import_openvino().Core()
        self.path, self.spec = path, read_spec(path)
        try:
            self._network = core.compile_model(core.read_model(path), DEVICE, settings(threads))
        except RuntimeError as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
            raise ArtefactError(f"{path}: OpenVINO cannot load it ({reason})", "run it without --backend") from error
        self._own = threading.local()
        self._window = BoundRequest(self._network, self.spec) if self.spec.batch in (None, 1) else None

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        keypoints = check_keypoints(keypoints, self.spec)
        if self._window is not None and len(keypoints) == 1:
            return check_poses(self._window.lift(keypoints), self.spec, self.path)
        return lift_in_batches(self._run, keypoints, self.spec, self.spec.batch or max(len(keypoints), 1), self.path)

    def _run(self, keypoints: Float32Array) -> Float32Array:
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._network.create_infer_request()
        return request.infer({0: keypoints})[0]

    def cost(self) -> Cost:
        """Return what the graph costs."""
        from poseedge.graph.flops import graph_cost

        return graph_cost(self.path)


class BoundRequest(threading.local):
    """A request for one window, on memory that is bound once; each thread gets its own when it first asks.

    Giving keypoints to a request anew costs 200 us, of the 1,150 us that HTNet takes (AMD EPYC).
    """

    def __init__(self, network: Any, spec: LifterSpec) -> None:
        tensor, self._request = import_openvino().Tensor, network.create_infer_request()
        self._keypoints = np.empty((1, spec.frames, NUM_JOINTS, spec.channels), np.float32)
        self._poses = np.empty((1, len(spec.output_frames), NUM_JOINTS, 3), np.float32)
        self._request.set_tensor(network.input(0), tensor(self._keypoints, shared_memory=True))
        self._request.set_tensor(network.output(0), tensor(self._poses, shared_memory=True))

    def lift(self, keypoints: Float32Array) -> Float32Array:
        """Return the poses of one window in an array of their own."""
        self._keypoints[...] = keypoints
        self._request.infer(share_outputs=True)
        return self._poses.copy()


def settings(threads: int) -> dict[str, Any]:
    """Return how to compile: ``threads`` threads on one request at a time, in the number formats that the graph says.

    By itself OpenVINO runs float32 as bfloat16 where the processor can, and pins its threads to cores, busy or not.
    """
    return {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }


def import_openvino() -> ModuleType:
    """Import OpenVINO without the package by which it reports every import to Google Analytics."""
    if "openvino" in sys.modules:
        return require("openvino", EXTRA)
    before = sys.modules.get(TELEMETRY)
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # this is how Python is told that a module does not exist
    try:
        return require("openvino", EXTRA)
    finally:
        del sys.modules[TELEMETRY]
        if before is not None:
            sys.modules[TELEMETRY] = before


def open_lifter(path: Path, opening: Opening) -> OpenVINOLifter:
    """Return ``path`` as OpenVINO compiles it."""
    return OpenVINOLifter(path, opening.threads)


def works() -> str:
    """Ask for the processor; returns OpenVINO's version and the processor's name."""
    found = import_openvino()
    return f"{found.__version__.split('-')[0]}, {found.Core().get_property(DEVICE, 'FULL_DEVICE_NAME')}"


BACKENDS = (Backend("openvino", (".onnx",), open_lifter, works, f"pip install 'poseedge[{EXTRA}]'", usual=False),)
