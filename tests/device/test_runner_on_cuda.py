"""The bundle's runner beside other users of the GPU, in a container, and where CUDA or TensorRT refuse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from poseedge.device.runner.backends import PYCUDA
from tests.doubles.gpu import Gpu
from tests.doubles.install import EACH_VERSION, uninstall
from tests.support.device import Device, assert_refused, rewrite_graph
from tests.support.lifting_bundle import load_runner, seal

PAGE = Path(__file__).parents[2] / "docs" / "jetpack.md"


def test_a_capture_does_not_disturb_those_who_use_the_legacy_stream(device: Device) -> None:
    gpu = device.has("10.3.0").gpu
    gpu.on_capture = gpu.legacy_call  # error 906 if the stream that captures is a blocking one
    assert [row["cuda_graph"] for row in device.run().report["rows"]] == [False, True]


def test_a_replay_that_fails_tells_cudas_status(device: Device) -> None:
    device.has("10.3.0").gpu.launch_status = 700
    assert_refused(device.run(), "cuGraphLaunch returned CUDA error 700: an illegal memory access was encountered")


@pytest.mark.slow
def test_a_network_that_cannot_be_captured_is_timed_without(device: Device) -> None:
    device.has("10.3.0").capture_error = True
    found = device.run()
    assert (found.status, [row["cuda_graph"] for row in found.report["rows"]]) == (0, [False])
    assert "no CUDA graph: TensorRT does not start this network under capture" in found.err


@pytest.mark.slow
@pytest.mark.parametrize("version", EACH_VERSION)
@pytest.mark.parametrize(("slow", "chosen"), [("copy_s", "mapped"), ("mapped_s", "copied")])
def test_poses_are_copied_or_mapped_whichever_is_faster(device: Device, version: str, slow: str, chosen: str) -> None:
    gpu = Gpu((7, 2))
    gpu.integrated = True
    setattr(gpu, slow, 0.001)
    device.has(version, gpu)
    found = device.run()
    memory = found.report["method"]["memory"]
    assert (found.status, memory["chosen"]) == (0, chosen), found.err
    assert (memory["mapped_ms"] < memory["copied_ms"]) is (chosen == "mapped")
    assert f"memory: keypoints and poses {chosen}: {memory['copied_ms']:.4f} ms a call copied" in found.out
    assert [row["cuda_graph"] for row in found.report["rows"]] == [False, True]
    assert found.report["rows"][1]["latency_ms"]["n"] == 5
    with load_runner(device.run_py).Lifter() as lifter, np.load(device.folder / "samples.npz") as arrays:
        np.testing.assert_allclose(lifter(arrays["keypoints"]), arrays["poses_m"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("gpu", [Gpu((6, 2)), Gpu((8, 6))], ids=["TX2", "RTX"])
def test_nothing_is_mapped_where_caches_or_memory_are_not_shared(device: Device, gpu: Gpu) -> None:
    gpu.integrated = gpu.capability == (6, 2)
    device.has("8.2.1.8", gpu)
    found = device.run()
    assert found.report["method"]["memory"] is None
    assert "memory:" not in found.out


def test_mapped_memory_that_gives_other_poses_is_not_taken(device: Device) -> None:
    gpu = Gpu()
    gpu.integrated = gpu.torn = True
    device.has("10.3.0", gpu)
    found = device.run()
    assert (found.status, found.report["method"]["memory"]["chosen"]) == (0, "copied")
    assert "from memory mapped into the GPU they come out otherwise" in found.out


def test_a_gpu_that_refuses_to_map_memory_is_used_with_copies(device: Device) -> None:
    gpu = Gpu()
    gpu.integrated, gpu.maps = True, False
    device.has("10.3.0", gpu)
    found = device.run()
    assert (found.status, found.report["method"]["memory"]) == (0, None)
    assert "no memory is mapped into the GPU: cuMemHostGetDevicePointer failed: operation not supported" in found.err


@pytest.mark.slow
@pytest.mark.parametrize("version", EACH_VERSION)
def test_a_plan_with_a_plugin_is_loaded_by_a_program_that_built_none(device: Device, version: str) -> None:
    fake = device.has(version)
    rewrite_graph(device.folder, scatter)
    assert device.run().status == 0
    fake.plugins = False  # as in a new process
    again = device.run()
    assert (again.status, again.report["engine"]["build_s"], len(fake.built)) == (0, None, 1), again.err


def scatter(model: onnx.ModelProto) -> None:
    """Scatter the frames' numbers over themselves."""
    model.graph.initializer.append(numpy_helper.from_array(np.arange(3), "order"))
    model.graph.node[-1].input[0] = "scattered"
    model.graph.node.insert(0, helper.make_node("ScatterElements", ["frames", "order", "frames"], ["scattered"], name="scatter"))


def test_a_norm_that_tensorrt_8_6_leaves_unnamed_is_held_by_its_tensor(device: Device) -> None:
    fake = device.has("8.6.2.3")
    rewrite_graph(device.folder, norm)
    (device.folder / "fp16.onnx").write_bytes((device.folder / "fp32.onnx").read_bytes())

    def name_it(manifest: dict[str, Any]) -> None:
        manifest["graphs"]["fp16"]["float32_nodes"] = ["norm"]

    seal(device.folder, name_it)
    assert "were found" not in device.run("--precision", "fp16").err
    assert fake.built[0].pinned == ("(Unnamed Layer* 0) [Normalization]",)


def norm(model: onnx.ModelProto) -> None:
    """Let the network read its input through a norm."""
    model.opset_import[0].version = 17
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "gain"))
    model.graph.node[0].input[0] = "normed"
    model.graph.node.insert(0, helper.make_node("LayerNormalization", ["keypoints", "gain"], ["normed"], name="norm"))


def test_a_plan_serves_where_docker_hides_the_board(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = device.has("10.3.0")
    monkeypatch.setenv("JETSON_MODEL", "NVIDIA Jetson Orin Nano Developer Kit")
    device.run()
    monkeypatch.delenv("JETSON_MODEL")
    assert device.run().report["engine"]["build_s"] is None
    monkeypatch.setenv("JETSON_MODEL", "NVIDIA Jetson AGX Orin Developer Kit")
    assert "differs in board" in device.run().err
    assert len(fake.built) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("differing", "smaller"), [("sms", Gpu(sms=8, memory=31 << 30)), ("memory_gib", Gpu(sms=16, memory=15 << 30))]
)
def test_a_plan_of_a_larger_module_is_built_again_where_the_board_is_unknown(
    device: Device, differing: str, smaller: Gpu
) -> None:
    device.has("10.3.0", Gpu(sms=16, memory=31 << 30))
    device.run()
    fake = device.has("10.3.0", smaller)
    assert f"differs in {differing};" in device.run().err
    assert len(fake.built) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("python", "pycuda"), [((3, 6), "pycuda<2021.1"), ((3, 8), "pycuda<2024.1.1"), ((3, 10), "pycuda")])
def test_the_pycuda_that_works_with_this_python_is_named(
    device: Device, monkeypatch: pytest.MonkeyPatch, python: tuple[int, int], pycuda: str
) -> None:
    device.has("8.5.2.2")
    uninstall(monkeypatch, "pycuda.driver")
    from poseedge.device.runner.backends import install_pycuda

    monkeypatch.setattr(sys, "version_info", (*python, 0, "final", 0))
    assert install_pycuda() == f"export PATH=/usr/local/cuda/bin:$PATH && pip3 install '{pycuda}'"


@pytest.mark.parametrize(("python", "pycuda"), [((3, 6), "pycuda<2021.1"), ((3, 8), "pycuda<2024.1.1")])
def test_the_page_installs_the_pycuda_that_the_runner_names(python: tuple[int, int], pycuda: str) -> None:
    assert (python, pycuda.removeprefix("pycuda")) in PYCUDA
    assert f"pip3 install '{pycuda}'" in PAGE.read_text()


@pytest.mark.slow
def test_a_pycuda_of_another_numpy_says_what_to_do(device: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device.has("8.5.2.2")
    (tmp_path / "site" / "pycuda").mkdir(parents=True)
    (tmp_path / "site" / "pycuda" / "__init__.py").touch()
    (tmp_path / "site" / "pycuda" / "driver.py").write_text("raise ImportError('numpy.core.multiarray failed to import')")
    for name in ("pycuda", "pycuda.driver"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert_refused(device.run(), "pip3 install 'pycuda<2024.1.1', or pip3 install numpy==1.24.4 before pycuda")
