"""Plans of the bundle's runner: found again, built again when anything differs, and never half-written."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from tests.support.device import Device, assert_refused, rewrite_graph
from tests.support.lifting_bundle import load_runner


@pytest.mark.slow
def test_a_plan_is_named_after_graph_tensorrt_and_device_and_loaded_next_time(device: Device, version: str) -> None:
    fake = device.has(version)
    assert device.run().report["engine"]["build_s"] > 0
    assert device.names("*.plan") == [f"fp32.{version}.sm_87.plan"]
    sidecar = json.loads((device.folder / f"fp32.{version}.sm_87.json").read_text())
    assert (sidecar["tensorrt"], sidecar["sm"]) == (version, "sm_87")
    again = device.run()
    assert (again.status, again.report["engine"]["build_s"], len(fake.built)) == (0, None, 1)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--rebuild",), ("--workspace-mib", "32")])
def test_a_plan_is_built_again_when_asked_or_when_options_change(device: Device, arguments: tuple[str, ...]) -> None:
    fake = device.has("8.5.2.2")
    device.run()
    assert device.run(*arguments).status == 0
    assert len(fake.built) == 2


@pytest.mark.slow
def test_a_truncated_plan_is_recognised_and_built_again(device: Device, version: str) -> None:
    fake = device.has(version)
    device.run()
    plan = device.folder / device.names("*.plan")[0]
    plan.write_bytes(plan.read_bytes()[:-100])
    again = device.run()
    assert (again.status, len(fake.built)) == (0, 2)
    assert "differs in plan_sha256" in again.err


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
