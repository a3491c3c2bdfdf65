"""The backend that was asked for, or the best one that is installed."""

import argparse
import importlib
import os
import sys
from contextlib import closing, contextmanager
from typing import Any, Iterator, Optional

from poseedge.device.runner.bundle import Bundle
from poseedge.device.runner.engine.context import primary_context
from poseedge.device.runner.engine.log import make_log
from poseedge.device.runner.engine.memory import shares_memory
from poseedge.device.runner.engine.plan_file import PlanFile
from poseedge.device.runner.engine.tensorrt_runner import TensorRTRunner
from poseedge.device.runner.onnxruntime_runner import OnnxRuntimeRunner
from poseedge.device.runner.words import Refused, note

# By the newest Python that needs it: JetPack 4 has 3.6, JetPack 5 has 3.8 with apt's numpy 1.17, while a newer pycuda builds
# against numpy 1.24's C interface.
PYCUDA = (((3, 6), "<2021.1"), ((3, 8), "<2024.1.1"))
NUMPY_HINT = "; built against another numpy: pip3 install 'pycuda<2024.1.1', or pip3 install numpy==1.24.4 before pycuda"


@contextmanager
def open_runner(bundle: Bundle, options: argparse.Namespace, trt: Any) -> Iterator[Any]:
    """Yield the runner of the backend that was asked for, or of the best one that is installed."""
    if trt is not None:
        cuda = optional_module("pycuda.driver")
        if cuda is None:
            raise Refused("TensorRT {} is installed but pycuda is not: {}".format(trt.__version__, install_pycuda()))
        with primary_context(cuda) as (device, context):
            log = make_log(trt)
            plan = PlanFile(trt, cuda, log, bundle, device, options)
            with closing(TensorRTRunner(trt, cuda, log, bundle, context, plan, shares_memory(cuda, device))) as runner:
                yield runner
        return
    if options.backend == "tensorrt":
        raise Refused("TensorRT is not installed for {}; on a Jetson it comes with JetPack".format(sys.executable))
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import: ONNX Runtime reports to Microsoft
    ort = optional_module("onnxruntime")
    if ort is None:
        raise Refused("neither TensorRT nor ONNX Runtime is installed for {}".format(sys.executable))
    if options.backend is None:
        note("TensorRT is not installed here; ONNX Runtime runs on the CPU instead")
    yield OnnxRuntimeRunner(ort, bundle)


def tensorrt_for(backend: Optional[str]) -> Any:
    """Return the module if it is installed and may be used; there may be type stubs alone."""
    trt = None if backend == "onnxruntime" else optional_module("tensorrt")
    return trt if hasattr(trt, "Builder") else None


def optional_module(name: str) -> Any:
    """Import ``name``, or return None if it is not installed; one that is but does not load says why."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name in (name, name.split(".")[0]):
            return None
        hint = NUMPY_HINT if "numpy" in str(error) and name.startswith("pycuda") else ""
        raise Refused("{} is installed but cannot be imported: {}{}".format(name, error, hint)) from error


def install_pycuda() -> str:
    """Return the command that installs a pycuda that works with the numpy which JetPack brings to this Python."""
    newest = next((below for python, below in PYCUDA if sys.version_info[:2] <= python), "")
    return "export PATH=/usr/local/cuda/bin:$PATH && pip3 install 'pycuda{}'".format(newest)
