"""Facts of the machine come from the system's own files, and are None where there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poseedge.bench.machine import busy, cpu_model, jetson, machine_facts

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
