"""Facts of the machine come from the system's own files, and are None where there are none."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from poseedge.bench.machine import OtherWork, busy, busy_seconds, cpu_model, disturbed, jetson, machine_facts

RELEASE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n"


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_facts_are_plain_values() -> None:
    facts = machine_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 0
    assert facts["packages"]["onnxruntime"]


def test_system_that_tells_no_load_is_no_error_and_not_called_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    def unobtainable() -> tuple[float, float, float]:
        raise OSError("Load averages are unobtainable")  # CPython's posixmodule.c, where getloadavg(3) fails

    monkeypatch.setattr(os, "getloadavg", unobtainable)
    facts = machine_facts()
    assert facts["load_average"] is None
    assert busy(facts) == ""


def test_jetson_is_recognised_by_its_release_file(tmp_path: Path) -> None:
    write(tmp_path, "etc/nv_tegra_release", RELEASE)
    write(tmp_path, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    board = jetson(tmp_path)
    assert board is not None
    assert board["board"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert board["l4t"] == "36.4.3"


@pytest.mark.parametrize("model", ["NVIDIA Orin Nano Developer Kit", "NVIDIA Orin NX Developer Kit", "Jetson-AGX"])
def test_jetson_is_recognised_by_its_model_alone(tmp_path: Path, model: str) -> None:
    write(tmp_path, "proc/device-tree/model", f"{model}\0")
    board = jetson(tmp_path)
    assert board is not None
    assert (board["board"], board["l4t"]) == (model, None)


def test_jetson_is_recognised_in_a_container_of_jetson_containers(tmp_path: Path) -> None:
    write(tmp_path, "tmp/nv_jetson_model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    board = jetson(tmp_path)
    assert board is not None
    assert board["board"] == "NVIDIA Jetson AGX Orin Developer Kit"


def test_other_boards_are_no_jetson(tmp_path: Path) -> None:
    assert jetson(tmp_path) is None
    write(tmp_path, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    assert jetson(tmp_path) is None


def test_processor_name_is_read_from_cpuinfo(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9354\n")
    assert cpu_model(tmp_path) == "AMD EPYC 9354"


def test_processor_without_a_name_gives_its_architecture(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\n")
    assert cpu_model(tmp_path)


def test_busy_machine_is_named() -> None:
    assert "load average 2.0 on 2 cores" in busy({"load_average": 2.0, "cores": 2})
    assert busy({"load_average": 0.5, "cores": 2}) == ""


STAT = "cpu  9 9 9 9\ncpu0 100 20 30 400 50 6 7 8 0 0\ncpu1 1000 0 0 0 0 0 0 0 0 0\nintr 5\n"


def test_busy_time_is_all_but_idle_and_waiting_and_counts_what_the_host_took(tmp_path: Path) -> None:
    write(tmp_path, "proc/stat", STAT)
    found, ticks = busy_seconds(tmp_path, [0]), os.sysconf("SC_CLK_TCK")
    assert found == ((100 + 20 + 30 + 6 + 7 + 8) / ticks, 1)
    assert busy_seconds(tmp_path, None) == ((171 + 1000) / ticks, 2)
    assert busy_seconds(tmp_path / "nowhere", None) is None


def test_others_share_is_what_the_cores_did_and_this_process_did_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks, now, own = os.sysconf("SC_CLK_TCK"), [0.0], [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: own[0])
    write(tmp_path, "proc/stat", "cpu0 0 0 0 0 0 0 0 0 0 0\n")
    watch = OtherWork([0], tmp_path)
    now[0], own[0] = 10.0, 6.0
    write(tmp_path, "proc/stat", f"cpu0 {8 * ticks} 0 0 0 0 0 0 0 0 0\n")
    assert watch.share() == pytest.approx(0.2)
    assert "other programs took 20% of the cores in use" in disturbed(watch.share())
    assert disturbed(0.04) == disturbed(None) == ""
    assert OtherWork([0], tmp_path / "nowhere").share() is None
