"""Which backends work on this machine, found by running each on something tiny."""

from __future__ import annotations

import platform
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from poseedge.bench.machine import jetson
from poseedge.engines.cuda import open_cuda
from poseedge.errors import PoseedgeError, require


@dataclass(frozen=True)
class Backend:
    """One way to run a network; ``fix`` says what to do if it does not work."""

    name: str
    works: bool
    detail: str
    fix: str = ""


def probe_backends() -> list[Backend]:
    """Return every backend that poseedge knows, working or not."""
    return [*probe_onnxruntime(), probe_torch(), probe_tensorrt(), probe_tensorrt_rtx()]


def probe_onnxruntime() -> list[Backend]:
    """Run a one-node graph on each execution provider."""
    try:
        from poseedge.graph.session import ort
    except ImportError as error:
        return [Backend("onnxruntime", False, str(error), "pip install onnxruntime")]
    providers = [name for name in ort.get_available_providers() if name != "AzureExecutionProvider"]  # a web client
    return [probe_provider(ort, name) for name in providers]


def probe_provider(ort: Any, provider: str) -> Backend:
    """Run a one-node graph on ``provider``; a silent fallback counts as a failure."""
    from onnx import TensorProto, helper

    name = f"onnxruntime {provider.removesuffix('ExecutionProvider')}"
    values = [helper.make_tensor_value_info(key, TensorProto.FLOAT, [2]) for key in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "probe", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=[provider], enable_fallback=0)
        session.run(None, {"x": np.ones(2, np.float32)})
    except Exception as error:  # each provider raises types of its own
        return Backend(name, False, first_line(error), "install the libraries that this provider names")
    if session.get_providers()[0] != provider:
        fix = "install the CUDA libraries of this onnxruntime release"
        return Backend(name, False, f"falls back to {session.get_providers()[0]}", fix)
    return Backend(name, True, ort.__version__)


def probe_torch() -> Backend:
    """Multiply two matrices in PyTorch."""
    try:
        import torch

        torch.ones(2, 2) @ torch.ones(2, 2)
    except Exception as error:  # a broken installation raises OSError, RuntimeError, ...
        return Backend("torch", False, first_line(error), "pip install 'poseedge[export]'")
    return Backend("torch", True, torch.__version__)


def probe_tensorrt() -> Backend:
    """Start TensorRT's runtime, through the CUDA library that engines would be run with."""
    try:
        tensorrt: Any = require("tensorrt", "tensorrt")
    except PoseedgeError as error:
        return Backend("tensorrt", False, error.message, tensorrt_fix())
    try:
        from poseedge.engines.log import shared_log

        with closing(open_cuda()) as cuda, cuda:
            detail = f"{tensorrt.__version__}, {cuda.gpu} through {cuda.library}"
            works = tensorrt.Runtime(shared_log()) is not None
    except PoseedgeError as error:
        return Backend("tensorrt", False, f"{tensorrt.__version__}, but {error.message}", error.hint or tensorrt_fix())
    except Exception as error:  # a broken installation raises types of its own
        return Backend("tensorrt", False, first_line(error), tensorrt_fix())
    return Backend("tensorrt", works, detail if works else "its runtime does not start", "" if works else tensorrt_fix())


def probe_tensorrt_rtx() -> Backend:
    """Ask TensorRT-RTX's plugin for a GPU."""
    try:
        from poseedge.backends.tensorrt_rtx import first_device

        device = first_device()
    except ImportError as error:  # without ONNX Runtime
        return Backend("tensorrt-rtx", False, str(error), "pip install onnxruntime")
    except PoseedgeError as error:
        return Backend("tensorrt-rtx", False, error.message, error.hint)
    return Backend("tensorrt-rtx", True, device.ep_metadata.get("version", ""))


def tensorrt_fix() -> str:
    """Return how to get TensorRT on this machine."""
    if jetson():
        return "sudo apt install nvidia-jetpack, and make the virtual environment with --system-site-packages"
    if platform.system() != "Linux":
        return "TensorRT needs Linux and an NVIDIA GPU"
    return "needs an NVIDIA GPU and its driver; then: pip install 'poseedge[tensorrt]'"


def first_line(error: Exception) -> str:
    """Return the first line of what ``error`` says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
