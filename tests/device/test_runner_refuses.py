"""What the bundle's runner cannot do it says in one line, and what is wrong in a bundle it refuses before anything runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from poseedge.files import sha256_of
from tests.doubles.gpu import Gpu
from tests.doubles.install import uninstall, without_graphs
from tests.support.device import Change, Device, assert_refused, rewrite_graph, rewrite_samples
from tests.support.lifting_bundle import load_runner, seal


@pytest.mark.slow
def test_a_graph_that_cannot_be_read_names_the_node(device: Device, version: str) -> None:
    device.has(version)
    rewrite_graph(device.folder, hostile_node)
    assert_refused(device.run(), "node 'hostile' (DynamicQuantizeLinear): No importer registered")


def test_a_graph_that_is_too_new_for_this_tensorrt_is_refused(device: Device) -> None:
    device.has("8.2.1.8")

    def newer(model: Any) -> None:
        model.opset_import[0].version = 17

    rewrite_graph(device.folder, newer)
    assert_refused(device.run(), "Opset 17 is not supported, the newest is 13")


def test_int8_is_refused_on_boards_without_int8_hardware(device: Device) -> None:
    for capability, name in (((5, 3), "Jetson Nano"), ((6, 2), "Jetson TX2")):
        fake = device.has("8.2.1.8", Gpu(capability, name="NVIDIA Tegra X1"))
        assert_refused(device.run("--precision", "int8"), f"{name} (sm_{capability[0]}{capability[1]}) has no INT8 hardware")
        assert fake.built == []


@pytest.mark.slow
@pytest.mark.parametrize("memory", [32 << 10, (64 << 10) + 1300], ids=["context", "buffers"])
def test_a_device_out_of_memory_says_so(device: Device, version: str, memory: int) -> None:
    device.has(version, Gpu(memory=memory))
    assert_refused(device.run(), "memory")


def test_a_driver_without_graphs_is_timed_without_them(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.has("8.6.2.3")
    without_graphs(monkeypatch)
    found = device.run()
    assert (found.status, len(found.report["rows"])) == (0, 1)
    assert "no CUDA graph" in found.err


@pytest.mark.slow
def test_missing_parity_is_exit_status_1(device: Device, version: str) -> None:
    device.has(version)
    rewrite_samples(device.folder, poses_m=lambda poses: poses + np.float32(1e-3))
    found = device.run()
    assert (found.status, found.report["passed"]) == (1, False)
    assert found.report["rows"][0]["distance_mm"]["mean"] == pytest.approx(3**0.5, rel=1e-3)
    assert "NOT within the limits" in found.out


def test_poses_that_are_no_numbers_never_pass(device: Device) -> None:
    module = load_runner(device.run_py)
    poses = np.full((1, 3, 17, 3), np.nan, np.float32)
    assert module.compare_poses(poses, np.zeros_like(poses), {"mean_mm": 1e9, "p99_mm": 1e9}) == (
        {"mean": None, "p99": None, "max": None},
        False,
    )


def test_a_damaged_graph_is_refused_before_anything_runs(device: Device) -> None:
    fake = device.has("8.2.1.8")
    graph = device.folder / "fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    assert_refused(device.run(), "fp32.onnx: damaged")
    assert fake.built == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"keypoints": lambda array: array[:, :5]}, "keypoints is float32 (4, 5, 17, 2), wanted finite float32 (N, 9, 17, 2)"),
        ({"poses_m": lambda array: array[..., :2]}, "poses_m is float32"),
        ({"poses_m": lambda array: array[:2]}, "4 windows and 2 poses"),
        ({"keypoints": lambda array: array * np.float32("nan")}, "wanted finite"),
        ({"keypoints": lambda array: array.astype(object)}, "Object arrays cannot be loaded"),
    ],
    ids=["frames", "axes", "count", "nan", "pickle"],
)
def test_wrong_samples_are_refused(device: Device, changes: dict[str, Change], reason: str) -> None:
    device.has("8.2.1.8")
    rewrite_samples(device.folder, **changes)
    assert_refused(device.run(), reason)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorrt", "onnxruntime"])
def test_a_graph_of_another_window_than_the_samples_is_refused(device: Device, version: str, backend: str) -> None:
    device.has(version)
    rewrite_samples(device.folder, keypoints=lambda array: array[:, :7])
    seal(device.folder, lambda manifest: manifest.update(frames=7))
    assert_refused(device.run("--backend", backend), "fp32.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda manifest: manifest.update(format=2), "bundle format 2, this runner reads 1"),
        (lambda manifest: manifest.update(graphs=[1]), "files and graphs should be tables"),
        (lambda manifest: manifest.pop("graphs"), "not a bundle manifest (KeyError('graphs'))"),
        (lambda manifest: manifest["graphs"].pop("fp32"), "holds no fp32 graph; it holds: fp16, int8"),
        (lambda manifest: manifest["limits"].pop("fp32"), "KeyError('fp32') is missing or malformed"),
        (lambda manifest: manifest["files"].pop("samples.npz"), "vouches for no samples.npz"),
        (lambda manifest: manifest["files"].update(other="0"), "other: missing"),
        (lambda manifest: manifest["graphs"]["fp32"].update(file=["fp32.onnx"]), "vouches for no ['fp32.onnx']"),
        (lambda manifest: manifest["graphs"].update(fp32="fp32.onnx"), "is missing or malformed"),
        (lambda manifest: manifest["limits"].update(fp32={"mean_mm": float("inf"), "p99_mm": 1}), "missing or malformed"),
        (lambda manifest: manifest.update(frames=1e999), "is missing or malformed"),
        (
            lambda manifest: manifest["graphs"]["fp32"].update(file="int8.onnx"),
            "is a graph in int8, and manifest.json calls it fp32",
        ),
        (lambda manifest: manifest["graphs"]["fp32"].update(file="run.py"), "run.py: "),
    ],
    ids=[
        *("format", "tables", "graphs", "precision", "limits", "unlisted", "absent", "list", "text", "endless", "infinite"),
        *("label", "no graph"),
    ],
)
def test_a_wrong_manifest_is_refused(device: Device, change: Callable[[dict[str, Any]], None], reason: str) -> None:
    device.has("8.2.1.8")
    seal(device.folder, change)
    assert_refused(device.run(), reason)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../other.onnx", "{}/other.onnx", "..", ""])
def test_graph_that_lies_elsewhere_is_refused(device: Device, name: str) -> None:
    device.has("8.2.1.8")
    name = name.format(device.folder.parent)
    other = Path(shutil.copy(device.folder / "fp32.onnx", device.folder.parent / "other.onnx"))

    def change(manifest: dict[str, Any]) -> None:
        manifest["graphs"]["fp32"]["file"] = name
        manifest["files"][name] = sha256_of(other)

    seal(device.folder, change)
    assert_refused(device.run(), f"{name!r} is no name of a file in the bundle")


def test_link_that_leads_out_of_the_bundle_is_refused(device: Device) -> None:
    device.has("8.2.1.8")
    (device.folder / "fp32.onnx").rename(device.folder.parent / "other.onnx")
    (device.folder / "fp32.onnx").symlink_to(device.folder.parent / "other.onnx")
    assert_refused(device.run(), "fp32.onnx: leads out of the bundle")


def test_deeply_nested_manifest_is_refused(device: Device) -> None:
    device.has("8.2.1.8")
    (device.folder / "manifest.json").write_text("[" * 100_000)
    assert_refused(device.run(), "not a bundle manifest")


def test_tensorrt_without_pycuda_says_what_to_install(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.has("8.2.1.8")
    uninstall(monkeypatch, "pycuda.driver")
    assert_refused(device.run(), "pip3 install 'pycuda")


def test_without_tensorrt_onnx_runtime_is_used_and_named(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch, "tensorrt")
    found = device.run("--precision", "int8")
    assert found.status == 0
    assert "ONNX Runtime runs on the CPU instead" in found.err
    [row] = found.report["rows"]
    assert (row["backend"], row["provider"], row["gpu_ms"]) == ("onnxruntime", "CPUExecutionProvider", None)


def test_type_stubs_alone_are_no_tensorrt(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    assert device.run().report["rows"][0]["backend"] == "onnxruntime"


def test_a_tensorrt_that_does_not_load_says_why(device: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.8: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert_refused(device.run(), "tensorrt is installed but cannot be imported: libnvinfer.so.8: cannot open")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "arguments", "reason"),
    [
        (("tensorrt",), ("--backend", "tensorrt"), "it comes with JetPack"),
        (("tensorrt", "onnxruntime"), (), "neither TensorRT nor ONNX Runtime is installed"),
        ((), ("--runs", "0"), "--runs and --workspace-mib start at 1"),
        ((), ("--json", "/nowhere/out.json"), "no such folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    device: Device, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], arguments: tuple[str, ...], reason: str
) -> None:
    uninstall(monkeypatch, *missing)
    assert_refused(device.run(*arguments), reason)


def hostile_node(model: Any) -> None:
    """Add an operator that no TensorRT reads."""
    from onnx import helper

    outputs = ["y", "y_scale", "y_zero"]
    model.graph.node.append(helper.make_node("DynamicQuantizeLinear", ["keypoints"], outputs, name="hostile"))
