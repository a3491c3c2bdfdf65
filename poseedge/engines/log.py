"""The one TensorRT logger of this process."""

from __future__ import annotations

from functools import cache
from typing import Any

import tensorrt as trt

from poseedge.device.runner.engine.log import make_log


@cache
def shared_log() -> Any:
    """Return the logger, which keeps errors and quotes the last of them with ``words()``; TensorRT wants one per process."""
    return make_log(trt)
