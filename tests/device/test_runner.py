"""The bundle's runner keeps its promises on every TensorRT, and says in one line why it cannot."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from poseedge.files import sha256_of
from tests.doubles.gpu import LAUNCH_MS, Gpu
from tests.doubles.install import EACH_VERSION, VERSIONS, uninstall, without_graphs
from tests.support.device import Change, Device, assert_refused, rewrite_graph, rewrite_samples
from tests.support.lifting_bundle import LIMITS, MIXED, load_runner, seal, write_bundle

# Builder flags; TF32, the one that is on from the start, is off throughout.
WEAK: dict[str, tuple[str, ...]] = {"fp32": (), "fp16": ("FP16",), "int8": ("FP16", "INT8")}
STRONG: dict[str, tuple[str, ...]] = {"fp32": (), "fp16": (), "int8": ()}
ROUTES = {version: STRONG if version.startswith(("10.13", "10.16", "11.")) else WEAK for version in VERSIONS}


@pytest.fixture(params=EACH_VERSION)
def version(request: pytest.FixtureRequest) -> str:
    """Each TensorRT that a JetPack brings."""
    return str(request.param)


@pytest.mark.parametrize("precision", LIMITS)
def test_each_tensorrt_builds_verifies_and_times_every_precision(device: Device, version: str, precision: str) -> None:
    device.has(version)
    found = device.run("--precision", precision)
    assert found.status == 0, found.err
    plain, graph = found.report["rows"]
    assert (plain["cuda_graph"], graph["cuda_graph"]) == (False, True)
    assert plain["distance_mm"] == graph["distance_mm"]
    assert plain["distance_mm"]["mean"] <= LIMITS[precision]["mean_mm"]
    assert plain["latency_ms"]["n"] == 5
    assert plain["gpu_ms"]["p50"] == graph["gpu_ms"]["p99"] == LAUNCH_MS


@pytest.mark.parametrize("precision", LIMITS)
def test_each_tensorrt_takes_the_route_of_the_decision_table(device: Device, version: str, precision: str) -> None:
    fake = device.has(version)
    device.run("--precision", precision, "--workspace-mib", "64")
    [plan] = fake.built
    assert plan.strongly_typed == (ROUTES[version] is STRONG)
    assert plan.flags == ROUTES[version][precision]
    assert plan.workspace == 64 << 20
    assert plan.aux_streams == (0 if fake.release >= (8, 6) else None)


@pytest.fixture
def mixed(device: Device, tmp_path: Path) -> Device:
    """A bundle that has INT8 with its rest in FP32 and with its rest in FP16."""
    device.folder = tmp_path / "mixed"
    device.run_py = write_bundle(device.folder, precisions=(*LIMITS, MIXED))
    return device


def test_int8_is_the_graph_whose_rest_is_fp16_where_types_are_law(mixed: Device, version: str) -> None:
    fake = mixed.has(version)
    found = mixed.run("--precision", "int8")
    assert found.status == 0, found.err
    taken = MIXED if ROUTES[version] is STRONG else "int8"
    assert {row["precision"] for row in found.report["rows"]} == {taken}
    assert found.report["graph"]["file"] == f"{taken}.onnx"
    assert ("taking the int8-fp16 graph" in found.err) == (taken == MIXED)
    assert fake.built[0].strongly_typed == (taken == MIXED)
    assert fake.built[0].flags == ROUTES[version]["int8"]


def test_int8_can_be_taken_as_named(mixed: Device, version: str) -> None:
    mixed.has(version)
    found = mixed.run("--precision", "int8", "--as-named")
    assert (found.status, found.report["graph"]["file"]) == (0, "int8.onnx")


def test_mixed_graph_is_refused_where_flags_choose_the_precision(mixed: Device, version: str) -> None:
    mixed.has(version)
    found = mixed.run("--precision", MIXED)
    if ROUTES[version] is STRONG:
        assert (found.status, found.report["rows"][0]["precision"]) == (0, MIXED)
    else:
        assert_refused(found, f"int8-fp16: TensorRT {version} takes precision from builder flags; use int8")


def test_mixed_graph_runs_on_onnx_runtime_when_asked_for_and_int8_stays_itself(mixed: Device) -> None:
    mixed.has("11.4.1.4")
    for precision in (MIXED, "int8"):
        found = mixed.run("--precision", precision, "--backend", "onnxruntime")
        assert (found.status, found.report["graph"]["file"]) == (0, f"{precision}.onnx")


def test_a_free_batch_is_built_for_one_window(device: Device, version: str, tmp_path: Path) -> None:
    fake = device.has(version)
    device.run_py = write_bundle(tmp_path / "free", batch="B")
    assert device.run().status == 0
    assert fake.built[0].profile == ((1, 9, 17, 2),) * 3


def test_a_plan_is_named_after_graph_tensorrt_and_device_and_loaded_next_time(device: Device, version: str) -> None:
    fake = device.has(version)
    assert device.run().report["engine"]["build_s"] > 0
    assert device.names("*.plan") == [f"fp32.{version}.sm_87.plan"]
    sidecar = json.loads((device.folder / f"fp32.{version}.sm_87.json").read_text())
    assert (sidecar["tensorrt"], sidecar["sm"]) == (version, "sm_87")
    again = device.run()
    assert (again.status, again.report["engine"]["build_s"], len(fake.built)) == (0, None, 1)


@pytest.mark.parametrize("arguments", [("--rebuild",), ("--workspace-mib", "32")])
def test_a_plan_is_built_again_when_asked_or_when_options_change(device: Device, arguments: tuple[str, ...]) -> None:
    fake = device.has("8.5.2.2")
    device.run()
    assert device.run(*arguments).status == 0
    assert len(fake.built) == 2


def test_a_truncated_plan_is_recognised_and_built_again(device: Device, version: str) -> None:
    fake = device.has(version)
    device.run()
    plan = device.folder / device.names("*.plan")[0]
    plan.write_bytes(plan.read_bytes()[:-100])
    again = device.run()
    assert (again.status, len(fake.built)) == (0, 2)
    assert "differs in plan_sha256" in again.err


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_nodes_that_the_bundle_names_are_held_in_fp32_under_weak_typing(device: Device, version: str, precision: str) -> None:
    fake = device.has(version)
    seal(device.folder, names_float32("shift", "selected_frames"))  # the second is of integers: an Identity is left alone
    found = device.run("--precision", precision)
    assert found.status == 0, found.err
    [plan] = fake.built
    weak = ROUTES[version] is WEAK
    assert plan.pinned == (("shift",) if weak else ())
    assert ("OBEY_PRECISION_CONSTRAINTS" in plan.flags) is weak
    assert ("only 1 of 2 nodes that should stay in FP32 were found" in found.err) is weak


def test_an_fp32_engine_has_nothing_to_hold(device: Device) -> None:
    fake = device.has("8.5.2.2")
    seal(device.folder, names_float32("shift"))
    device.run("--precision", "fp32")
    assert (fake.built[0].pinned, fake.built[0].flags) == ((), ())


def test_a_folder_for_engines_serves_many_bundles(device: Device, tmp_path: Path) -> None:
    fake = device.has("10.3.0")
    engines = tmp_path / "engines"
    sealed = device.names()
    assert device.run("--engines", str(engines)).report["engine"]["build_s"] > 0
    assert device.run("--engines", str(engines)).report["engine"]["build_s"] is None
    rewrite_graph(device.folder, lambda model: model.graph.node[0].__setattr__("doc_string", "another graph"))
    assert device.run("--engines", str(engines)).report["engine"]["build_s"] > 0
    assert len(fake.built) == len(list(engines.glob("*/fp32.10.3.0.sm_87.plan"))) == 2
    assert device.names() == sealed


def test_a_folder_that_cannot_be_written_is_told_before_the_build(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = device.has("10.3.0")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert_refused(device.run(), "cannot be written to; keep the engine elsewhere with --engines FOLDER")
    assert_refused(device.run("--engines", "/proc/none"), "/proc/none")
    assert fake.built == []


def test_a_plan_of_another_power_mode_is_used_and_told(device: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device.has("10.3.0")
    device.run()
    (tmp_path / "nvpmodel").write_text("#!/bin/sh\necho NV Power Mode: MAXN; echo 0\n")
    (tmp_path / "nvpmodel").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    again = device.run()
    assert again.report["machine"]["power_mode"] == "NV Power Mode: MAXN 0"
    assert again.report["engine"]["build_s"] is None
    assert "was built in power mode None; --rebuild tunes it" in again.err
    assert "power mode" not in device.run("--rebuild").err


def test_a_run_waits_for_one_that_builds_in_the_same_folder(device: Device) -> None:
    fake = device.has("10.3.0")
    first_builds, second_waits, found = threading.Event(), threading.Event(), []

    def build_until_the_second_waits() -> None:
        first_builds.set()
        assert second_waits.wait(20)

    fake.on_build = build_until_the_second_waits
    first = threading.Thread(target=lambda: found.append(load_runner(device.run_py).main(["--runs", "1"])))
    first.start()
    assert first_builds.wait(20)
    second = load_runner(device.run_py)
    device.monkeypatch.setattr(second, "note", lambda said: second_waits.set() if "another process builds" in said else None)
    assert second.main(["--runs", "1"]) == 0
    first.join()
    assert (found, len(fake.built)) == ([0], 1)


def test_a_plan_of_another_version_is_recognised_before_tensorrt_sees_it(device: Device) -> None:
    device.has("8.4.1.5")
    device.run()
    for name in device.names("fp32.8.4.1.5.*"):
        (device.folder / name).rename(device.folder / name.replace("8.4.1.5", "8.5.2.2"))
    fake = device.has("8.5.2.2")
    again = device.run()
    assert (again.status, len(fake.built)) == (0, 1)
    assert "differs in tensorrt" in again.err


def test_a_plan_that_tensorrt_refuses_is_built_again_with_its_words(device: Device, version: str) -> None:
    fake = device.has(version)
    device.run()
    sidecar = next(path for path in device.folder.glob("fp32.*.json"))
    plan = sidecar.with_suffix(".plan")
    plan.write_bytes(plan.read_bytes()[:-100])
    module = load_runner(device.run_py)
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"plan_sha256": module.sha256_of(plan)}))
    again = device.run()
    assert (again.status, len(fake.built)) == (0, 2)
    assert "Engine deserialization failed; building it again" in again.err


def test_a_failed_build_says_why_and_leaves_no_plan(device: Device, version: str) -> None:
    device.has(version).build_error = "Could not find any implementation for node lift"
    found = device.run()
    assert_refused(found, "Could not find any implementation for node lift")
    assert device.names("*.plan") == []


def test_an_interrupted_build_leaves_no_plan(device: Device) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    device.has("10.3.0").on_build = interrupt
    found = device.run()
    assert (found.status, found.report) == (130, None)
    assert device.names("*.plan") == []


def test_a_disk_that_takes_no_plan_is_named_and_keeps_nothing_half_written(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", target)

    device.has("10.3.0")
    monkeypatch.setattr("os.replace", full)
    assert_refused(device.run(), "No space left on device")
    assert device.names("*.plan") == []


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


@pytest.mark.parametrize("backend", ["tensorrt", "onnxruntime"])
def test_a_graph_of_another_window_than_the_samples_is_refused(device: Device, version: str, backend: str) -> None:
    device.has(version)
    rewrite_samples(device.folder, keypoints=lambda array: array[:, :7])
    seal(device.folder, lambda manifest: manifest.update(frames=7))
    assert_refused(device.run("--backend", backend), "fp32.onnx")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda manifest: manifest.update(format=2), "bundle format 2, this runner reads 1"),
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
        *("format", "graphs", "precision", "limits", "unlisted", "absent", "list", "text", "endless", "infinite"),
        *("label", "no graph"),
    ],
)
def test_a_wrong_manifest_is_refused(device: Device, change: Callable[[dict[str, Any]], None], reason: str) -> None:
    device.has("8.2.1.8")
    seal(device.folder, change)
    assert_refused(device.run(), reason)


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


def names_float32(*names: str) -> Callable[[dict[str, Any]], None]:
    """Let the manifest name nodes to hold in FP32, as the exporter does."""

    def change(manifest: dict[str, Any]) -> None:
        for graph in manifest["graphs"].values():
            graph["float32_nodes"] = list(names)

    return change


def hostile_node(model: Any) -> None:
    """Add an operator that no TensorRT reads."""
    from onnx import helper

    outputs = ["y", "y_scale", "y_zero"]
    model.graph.node.append(helper.make_node("DynamicQuantizeLinear", ["keypoints"], outputs, name="hostile"))
