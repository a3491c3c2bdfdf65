"""The bundle's runner builds, verifies and times every precision, on every TensorRT by the route that it takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.gpu import LAUNCH_MS
from tests.doubles.install import VERSIONS
from tests.support.device import Device, assert_refused
from tests.support.lifting_bundle import LIMITS, MIXED, seal, write_bundle

# Builder flags; TF32, the one that is on from the start, is off throughout.
WEAK: dict[str, tuple[str, ...]] = {"fp32": (), "fp16": ("FP16",), "int8": ("FP16", "INT8")}
STRONG: dict[str, tuple[str, ...]] = {"fp32": (), "fp16": (), "int8": ()}
ROUTES = {version: STRONG if version.startswith(("10.13", "10.16", "11.")) else WEAK for version in VERSIONS}


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_int8_is_the_graph_whose_rest_is_fp16_where_strongly_typed(mixed: Device, version: str) -> None:
    fake = mixed.has(version)
    found = mixed.run("--precision", "int8")
    assert found.status == 0, found.err
    taken = MIXED if ROUTES[version] is STRONG else "int8"
    assert {row["precision"] for row in found.report["rows"]} == {taken}
    assert found.report["graph"]["file"] == f"{taken}.onnx"
    assert ("taking the int8-fp16 graph" in found.err) == (taken == MIXED)
    assert fake.built[0].strongly_typed == (taken == MIXED)
    assert fake.built[0].flags == ROUTES[version]["int8"]


@pytest.mark.slow
def test_int8_can_be_taken_as_named(mixed: Device, version: str) -> None:
    mixed.has(version)
    found = mixed.run("--precision", "int8", "--as-named")
    assert (found.status, found.report["graph"]["file"]) == (0, "int8.onnx")


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_free_batch_is_built_for_one_window(device: Device, version: str, tmp_path: Path) -> None:
    fake = device.has(version)
    device.run_py = write_bundle(tmp_path / "free", batch="B")
    assert device.run().status == 0
    assert fake.built[0].profile == ((1, 9, 17, 2),) * 3


@pytest.mark.slow
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


def names_float32(*names: str) -> Callable[[dict[str, Any]], None]:
    """Let the manifest name nodes to hold in FP32, as the exporter does."""

    def change(manifest: dict[str, Any]) -> None:
        for graph in manifest["graphs"].values():
            graph["float32_nodes"] = list(names)

    return change
