"""Device 0 and its primary context, through pycuda."""

import ctypes
import traceback
from contextlib import contextmanager, suppress
from typing import Any, Iterator, Tuple

from poseedge.device.runner.words import Refused

NON_BLOCKING = 1  # a stream that waits for no work on CUDA's legacy stream, and does not disturb others' while it captures


@contextmanager
def primary_context(cuda: Any) -> Iterator[Tuple[Any, Any]]:
    """Yield device 0 and its primary context, which is current; CUDA's errors become one line."""
    try:
        cuda.init()
        device = cuda.Device(0)
        context = device.retain_primary_context()
        context.push()
    except cuda.Error as error:
        raise Refused("no usable CUDA device: {}".format(error)) from error
    try:
        yield device, context
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # what they hold of TensorRT must go before the context
        if isinstance(error, cuda.Error):
            raise Refused("CUDA failed: {}".format(error)) from error
        raise
    finally:
        release_primary(context)


def release_primary(context: Any) -> None:
    """Let go of a primary context that was pushed last, in any thread.

    pycuda takes one that is merely dropped for one of its own making, and on detaching leaves it on the driver's stack:
    ``cuDevicePrimaryCtxRelease`` pops nothing.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libcuda.so.1").cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
    context.detach()
