"""TensorRT for RTX as a lifter: NVIDIA's ONNX Runtime plugin, on GPUs of the RTX 30 series (sm_86) and newer.

All nodes run in its engine or none do: ONNX Runtime is told not to fall back to the CPU, and asked afterwards.
"""

from __future__ import annotations

import ctypes
import subprocess
import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from poseedge.backends.backend import Backend, Opening
from poseedge.backends.onnxruntime import TF32_UNKNOWN, OnnxLifter, refuse_streaming_form
from poseedge.errors import ArtefactError, PoseedgeError, require

if TYPE_CHECKING:
    from poseedge.graph.session import ort

PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx"
PROVIDER = "NvTensorRTRTXExecutionProvider"
_REGISTERING = threading.Lock()
NEEDS_GPU = "it needs an NVIDIA GPU of the RTX 30 series or newer, with its driver; see: poseedge doctor"


class TensorRTRTXLifter(OnnxLifter):
    """An ONNX file in TensorRT-RTX's engine, which is built when the file is opened, on the first such GPU."""

    backend = "tensorrt-rtx"
    notes: tuple[str, ...] = (TF32_UNKNOWN,)

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Raises ``PoseedgeError`` if package, driver or GPU is missing, or if a node would stay on the CPU."""
        refuse_streaming_form(path, "TensorRT-RTX")
        self._hold(open_rtx_session(path, threads), path, PROVIDER)


def open_rtx_session(path: Path, threads: int) -> ort.InferenceSession:
    """Open ``path`` on the first GPU; raises as ``TensorRTRTXLifter`` does."""
    from poseedge.graph.session import SessionError, open_session

    options = device_options(first_device(), threads)
    try:
        session = open_session(path, options, providers=None)
    except SessionError as error:
        raise ArtefactError(f"{path}: TensorRT-RTX cannot run it ({error.reason})", "time it without --backend") from error
    check_assignment(session, path)
    return session


def first_device() -> Any:
    """Return the first GPU that the plugin offers, as ONNX Runtime's ``OrtEpDevice``."""
    from poseedge.graph.session import ort

    plugin = require(PACKAGE, "rtx")
    if not hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"):
        raise PoseedgeError(f"ONNX Runtime {ort.__version__} is too old for this plugin", "pip install --upgrade onnxruntime")
    with _REGISTERING:
        refusal = register_provider(plugin)
    if refusal:
        raise PoseedgeError(f"TensorRT-RTX cannot start here: {refusal}", NEEDS_GPU)
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER]
    if not devices:
        here = "; ".join(driver_gpus()) or "nvidia-smi shows none"
        raise PoseedgeError(f"TensorRT-RTX supports no GPU of this machine: {here}", NEEDS_GPU)
    return devices[0]


@cache
def register_provider(plugin: ModuleType) -> str:
    """Register the plugin with ONNX Runtime and return what it refuses, empty if nothing.

    Once in a process: a second attempt is refused for being the second, which hides the reason of the first.
    """
    from poseedge.graph.session import ort, reason

    load_cuda_runtime(plugin)
    try:
        ort.register_execution_provider_library(PROVIDER, plugin.get_library_path())
    except Exception as error:  # ONNX Runtime raises a dozen types of its own
        return reason(error)
    return ""


def driver_gpus() -> list[str]:
    """Return name and compute capability of each NVIDIA GPU that the driver shows."""
    query = ["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return [line.replace(", ", ", compute capability ") for line in map(str.strip, lines) if line]


def load_cuda_runtime(plugin: ModuleType) -> None:
    """Load the CUDA runtime that the package brings under a name that the loader would not look for."""
    assert plugin.__file__ is not None
    for library in Path(plugin.__file__).parent.glob("libcudart.so.*"):
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def device_options(device: Any, threads: int) -> ort.SessionOptions:
    """Return options for a session on ``device`` alone."""
    from poseedge.graph.session import FATAL
    from poseedge.graph.session import session_options as plain_options

    options = plain_options(threads, severity=FATAL)  # what matters arrives as an exception
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.add_provider_for_devices([device], {})
    return options


def check_assignment(session: ort.InferenceSession, path: Path) -> None:
    """Raise if ONNX Runtime gave any node to another provider."""
    for part in session.get_provider_graph_assignment_info():
        if part.ep_name != PROVIDER:
            node = f"{part.get_nodes()[0].op_type} {part.get_nodes()[0].name!r}"
            raise ArtefactError(f"{path}: {node} would run in {part.ep_name}, not in {PROVIDER}", "time it without --backend")


def open_lifter(path: Path, opening: Opening) -> TensorRTRTXLifter:
    """Return ``path`` in TensorRT-RTX's engine."""
    return TensorRTRTXLifter(path, opening.threads)


def works() -> str:
    """Ask the plugin for a GPU; returns the plugin's version."""
    return str(first_device().ep_metadata.get("version", ""))


BACKENDS = (Backend("tensorrt-rtx", (".onnx",), open_lifter, works, NEEDS_GPU, usual=False, session=open_rtx_session),)
