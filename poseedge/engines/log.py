"""The one TensorRT logger of this process."""

from __future__ import annotations

from functools import cache
from typing import Any

import tensorrt as trt

from poseedge.device.runner.log import make_log


@cache
def shared_log() -> Any:
    """Return the logger, which keeps errors and quotes the last of them with ``words()``; TensorRT wants one per process.

    TensorRT's own plugins are registered with it: 8.x and 10.x scatter through one.
    """
    log = make_log(trt)
    if hasattr(trt, "init_libnvinfer_plugins"):
        trt.init_libnvinfer_plugins(log, "")
    return log
