"""Streams, captures and replays live beside other users of the GPU, and say what CUDA says."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.backends.registry import load
from poseedge.errors import ArtefactError
from tests.doubles.binding import Fake
from tests.doubles.fixtures import Install
from tests.doubles.gpu import CudaLogicError, Gpu
from tests.support.engines import build, expected, keypoints

LIBRARIES = pytest.mark.parametrize("library", ["pycuda", "cuda-python"])


@LIBRARIES
def test_a_capture_does_not_disturb_those_who_use_the_legacy_stream(install_tensorrt: Install, graph: Path, library: str) -> None:
    gpu = install_tensorrt(library=library).gpu
    seen = []

    def another_thread_works() -> None:
        gpu.legacy_call()  # error 906 if the stream that captures is a blocking one
        seen.append(True)

    gpu.on_capture = another_thread_works
    lifter, windows = load(build(graph).path), keypoints(1)
    for _ in range(3):
        lifter(windows)
    assert seen == [True]


def test_the_stand_in_refuses_legacy_work_while_a_blocking_stream_captures(some_device: Fake) -> None:
    from tests.doubles.gpu import Queue

    some_device.gpu.queues[1] = Queue(blocking=True, recorded=[])
    with pytest.raises(CudaLogicError, match="906"):
        some_device.gpu.legacy_call()
    some_device.gpu.queues[1] = Queue(blocking=False, recorded=[])
    some_device.gpu.legacy_call()


def test_a_replay_that_fails_tells_cudas_status(some_device: Fake, graph: Path) -> None:
    lifter, windows = load(build(graph).path), keypoints(1)
    for _ in range(2):
        lifter(windows)
    some_device.gpu.launch_status = 700
    with pytest.raises(ArtefactError, match="cuGraphLaunch returned CUDA error 700: an illegal memory access"):
        lifter(windows)


def test_a_refused_capture_leaves_later_calls_right(device: Fake, graph: Path) -> None:
    device.capture_error = True
    lifter: Any = load(build(graph).path)
    windows = keypoints(1)
    for _ in range(3):
        np.testing.assert_allclose(lifter(windows), expected(graph, windows), atol=1e-6)
    assert "does not start this network under capture" in lifter.session.not_captured


@LIBRARIES
def test_a_copy_to_a_wrong_address_is_a_failure_of_cuda(install_tensorrt: Install, library: str) -> None:
    install_tensorrt(gpu=Gpu(memory=500), library=library)
    from poseedge.engines.cuda import CudaFailure, open_cuda

    with closing(open_cuda()) as cuda, cuda:
        buffer = cuda.allocate((4,), np.float32)
        with pytest.raises(CudaFailure, match="CUDA failed"):
            cuda.upload(buffer.host, 8)
        with pytest.raises(CudaFailure, match="CUDA failed"):
            cuda.allocate((1 << 10,), np.float32)
        del buffer
