"""On a Jetson keypoints and poses are copied or mapped into the GPU, whichever is faster; the poses are the same."""

from __future__ import annotations

import operator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.backends.registry import load
from tests.doubles.binding import Fake
from tests.doubles.fixtures import Install
from tests.doubles.gpu import CudaLogicError, Gpu
from tests.support.engines import build, expected, keypoints, write_graph

LIBRARIES = pytest.mark.parametrize("library", ["pycuda", "cuda-python"])


def jetson(capability: tuple[int, int] = (8, 7), integrated: bool = True, copy_s: float = 0, mapped_s: float = 0) -> Gpu:
    """A GPU that shares the processor's memory; copies, or runs on mapped memory, may take their time."""
    gpu = Gpu(capability)
    gpu.integrated, gpu.copy_s, gpu.mapped_s = integrated, copy_s, mapped_s
    return gpu


@pytest.mark.slow
@LIBRARIES
@pytest.mark.parametrize(("copy_s", "mapped_s", "chosen"), [(0.001, 0, "mapped"), (0, 0.001, "copied")])
def test_the_faster_way_is_taken_and_said(
    install_tensorrt: Install, graph: Path, library: str, copy_s: float, mapped_s: float, chosen: str
) -> None:
    install_tensorrt(gpu=jetson(copy_s=copy_s, mapped_s=mapped_s), library=library)
    lifter: Any = load(build(graph).path)
    assert lifter.session.memory["chosen"] == chosen
    assert [note.partition(":")[0] for note in lifter.notes] == [f"keypoints and poses {chosen}"]
    for seed in range(3):  # plainly, captured, replayed
        np.testing.assert_allclose(lifter(keypoints(1, seed)), expected(graph, keypoints(1, seed)), atol=1e-6)
    assert lifter.session.captured


@pytest.mark.parametrize("gpu", [jetson((6, 2)), jetson((5, 3)), jetson((8, 6), integrated=False)], ids=["TX2", "Nano", "RTX"])
def test_nothing_is_mapped_where_caches_or_memory_are_not_shared(install_tensorrt: Install, graph: Path, gpu: Gpu) -> None:
    install_tensorrt(gpu=gpu)
    lifter: Any = load(build(graph).path)
    assert (lifter.session.memory, lifter.notes) == (None, ())


@pytest.mark.slow
def test_free_batches_of_any_size_are_right_in_mapped_memory(install_tensorrt: Install, tmp_path: Path) -> None:
    install_tensorrt(gpu=jetson(copy_s=0.001))
    path = write_graph(tmp_path / "free.onnx", batch="batch")
    lifter: Any = load(build(path, max_batch=4).path)
    assert lifter.session.memory["chosen"] == "mapped"
    for count in (1, 4, 4, 4, 2, 3, 3, 1):
        np.testing.assert_allclose(lifter(keypoints(count, count)), expected(path, keypoints(count, count)), atol=1e-6)
    assert lifter.session.outputs()[lifter.session._pose].shape == (4, 3, 17, 3)


def test_mapped_memory_that_gives_other_poses_is_not_taken(install_tensorrt: Install, graph: Path) -> None:
    gpu = jetson(copy_s=0.001)
    gpu.torn = True
    install_tensorrt(gpu=gpu)
    lifter: Any = load(build(graph).path)
    assert (lifter.session.memory["chosen"], lifter.session.memory["mapped_ms"]) == ("copied", None)
    assert lifter.notes == ("keypoints and poses copied: from memory mapped into the GPU they come out otherwise",)
    np.testing.assert_allclose(lifter(keypoints(1)), expected(graph, keypoints(1)), atol=1e-6)


@LIBRARIES
def test_a_gpu_that_refuses_to_map_memory_is_used_with_copies(install_tensorrt: Install, graph: Path, library: str) -> None:
    gpu = jetson()
    gpu.maps = False
    install_tensorrt(gpu=gpu, library=library)
    lifter: Any = load(build(graph).path)
    assert lifter.session.memory is None
    np.testing.assert_allclose(lifter(keypoints(1)), expected(graph, keypoints(1)), atol=1e-6)


@pytest.mark.slow
def test_what_cannot_be_captured_is_mapped_all_the_same(install_tensorrt: Install, graph: Path) -> None:
    fake = install_tensorrt(gpu=jetson(copy_s=0.001))
    fake.capture_error = True
    lifter: Any = load(build(graph).path)
    assert lifter.session.memory["chosen"] == "mapped"
    assert "does not start this network under capture" in lifter.session.not_captured
    for seed in range(3):
        np.testing.assert_allclose(lifter(keypoints(1, seed)), expected(graph, keypoints(1, seed)), atol=1e-6)


# What the stand-in holds against a program that gets it wrong


@LIBRARIES
def test_the_processor_sees_what_the_gpu_wrote_only_after_waiting(install_tensorrt: Install, library: str) -> None:
    gpu = install_tensorrt(gpu=jetson(), library=library).gpu
    from poseedge.engines.cuda import open_cuda

    with closing(open_cuda()) as cuda, cuda:
        buffer = cuda.map((4,), np.float32)
        assert buffer.device != buffer.host.ctypes.data
        host, seen = buffer.host, gpu.device_bytes(buffer.device, 16)
        host[:] = 1
        assert np.frombuffer(seen, np.float32).tolist() == [1, 1, 1, 1]

        gpu.submit(cuda.stream, partial(operator.setitem, seen, slice(None), np.full(4, 2, np.float32).tobytes()))
        assert host.tolist() == [1, 1, 1, 1]
        cuda.wait()
        assert host.tolist() == [2, 2, 2, 2]
        del buffer, host, seen


def test_memory_that_was_not_allocated_to_be_mapped_has_no_address(some_device: Fake) -> None:
    import pycuda.driver as driver

    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    host = driver.pagelocked_empty((4,), np.float32)
    with pytest.raises(CudaLogicError, match="cuMemHostGetDevicePointer failed: invalid argument"):
        host.base.get_device_pointer()
    del host
    from poseedge.device.runner.engine.context import release_primary

    release_primary(context)
