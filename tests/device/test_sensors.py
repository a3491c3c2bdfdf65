"""Power, clocks and temperatures are read as each board and release tells them, and what makes times doubtful is said."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from poseedge.device.runner.sensors import energy, rails, state
from poseedge.device.runner.sensors.tegrastats import parse_tegrastats

# Lines that real boards printed, from public exporters, issues and test suites; the data note names each one's place.
LINES = dict(line.split(": ", 1) for line in Path(__file__).with_name("tegrastats.txt").read_text().splitlines())

# Total power (mW), number of rails, the hottest sensor (degrees Celsius), GPU load and clock.
TOLD: dict[str, tuple[float, int, float, float | None, int | None]] = {
    "nano": (1388, 3, 36, 0, None),
    "nano-root": (933, 3, 27.5, 0, 76),
    "tx2": (5297, 6, 42.5, 0, 114),
    "agx-xavier": (0 + 216 + 864 + 0 + 144 + 1889, 6, 34.75, 0, None),
    "xavier-nx": (2763, 3, 46.5, 0, 114),
    "agx-xavier-jp5": (467 + 467 + 1245 + 0 + 311 + 2768, 6, 38.75, 0, 114),
    "xavier-nx-cores-off": (3902, 3, 35, 0.33, None),
    "agx-orin": (2340 + 390 + 4025 + 301, 4, 44.562, 0, 0),
    "orin-nano": (6626, 3, 50.562, 0, None),
    "agx-orin-jp7": (4385 + 1196 + 5552, 3, 51.968, 0.32, None),
    "agx-orin-dla": (3150 + 14312 + 4968 + 1091, 4, 77.281, 0.14, 407),
    "thor": (19780, 4, 38.875, None, 314),
}


@pytest.mark.parametrize("board", LINES)
def test_every_dialect_of_tegrastats_is_read(board: str) -> None:
    found = parse_tegrastats(LINES[board])
    total, count, hottest, load, clock = TOLD[board]
    assert (rails.total_mw(found["rails_mw"]), len(found["rails_mw"])) == (total, count)
    assert max(found["temperatures_c"].values()) == hottest
    assert min(found["temperatures_c"].values()) > -100  # -256 is a sensor that is off
    assert not {"ram", "swap", "pmic", "cv0"} & found["temperatures_c"].keys() - ({"cv0"} if board == "agx-orin-dla" else set())
    assert (found["gpu_load"], found["gpu_mhz"]) == (load, clock)


def test_rails_are_no_loads_and_no_memory() -> None:
    assert set(parse_tegrastats(LINES["agx-xavier"])["rails_mw"]) == {"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"}
    assert parse_tegrastats("") == {"rails_mw": {}, "temperatures_c": {}, "gpu_load": None, "gpu_mhz": None, "emc_mhz": None}


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text + "\n")


def orin(root: Path) -> None:
    """Lay out an AGX Orin's sensors as JetPack 5 and later do."""
    chip = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    for channel, (name, volts, amperes) in enumerate([("VDD_GPU_SOC", 5000, 800), ("VDD_CPU_CV", 5000, 200), ("NC", 5000, 9)], 1):
        write(root, f"{chip}/in{channel}_label", name)
        write(root, f"{chip}/in{channel}_input", str(volts))
        write(root, f"{chip}/curr{channel}_input", str(amperes))
    write(root, f"{chip}/in7_label", "sum of shunt voltages")
    write(root, "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4/in2_label", "VIN_SYS_5V0")
    write(root, "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4/in2_input", "5000")
    write(root, "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4/curr2_input", "1000")


def test_rails_of_jetpack_5_are_voltage_times_current(tmp_path: Path) -> None:
    orin(tmp_path)
    found = rails.read_rails(tmp_path)
    assert found == {"VDD_GPU_SOC": 4000, "VDD_CPU_CV": 1000, "VIN_SYS_5V0": 5000}
    assert (rails.total_mw(found), rails.total_is(found)) == (
        10000,
        "VDD_CPU_CV + VDD_GPU_SOC + VIN_SYS_5V0, without the carrier board",
    )


def test_rails_of_jetpack_4_are_told_as_power(tmp_path: Path) -> None:
    chip = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    for channel, (name, power) in enumerate([("POM_5V_IN", 2545), ("POM_5V_GPU", 40), ("POM_5V_CPU", 549)]):
        write(tmp_path, f"{chip}/rail_name_{channel}", name)
        write(tmp_path, f"{chip}/in_power{channel}_input", str(power))
    found = rails.read_rails(tmp_path)
    assert (len(found), rails.total_mw(found), rails.total_is(found)) == (3, 2545, "POM_5V_IN")


def test_machine_without_sensors_tells_no_power(tmp_path: Path) -> None:
    assert rails.read_rails(tmp_path) == {}
    assert rails.total_mw({}) is None


def clocks(root: Path, current: int, lowest: int, highest: int, device: str = "17000000.gpu") -> None:
    for kind, megahertz in (("cur", current), ("min", lowest), ("max", highest)):
        write(root, f"sys/class/devfreq/{device}/{kind}_freq", str(megahertz * 1000000))
    write(root, f"sys/class/devfreq/{device}/governor", "nvhost_podgov")


@pytest.mark.parametrize("device", ["17000000.gpu", "17000000.ga10b", "17000000.gv11b", "17000000.gp10b", "gpu-gpc-0"])
def test_clocks_of_the_gpu_are_found_by_its_names(tmp_path: Path, device: str) -> None:
    clocks(tmp_path, 510, 306, 1020, device)
    clocks(tmp_path, 1, 1, 1, "15340000.vic")
    found = state.gpu_state(tmp_path)
    assert [found[f"gpu_{kind}_mhz"] for kind in ("cur", "min", "max")] == [510, 306, 1020]
    assert found["governor"] == "nvhost_podgov"


def test_temperatures_leave_out_what_is_off_and_what_is_no_sensor(tmp_path: Path) -> None:
    zones = [
        ("CPU-therm", "50125"),
        ("gpu-thermal", "49000"),
        ("PMIC-Die", "100000"),
        ("cv0-thermal", "-256000"),
        ("tj", ""),
    ]
    for number, (kind, value) in enumerate(zones):
        write(tmp_path, f"sys/class/thermal/thermal_zone{number}/type", kind)
        write(tmp_path, f"sys/class/thermal/thermal_zone{number}/temp", value)
    assert state.temperatures(tmp_path) == {"cpu": 50.125, "gpu": 49.0}


def test_clocks_that_may_vary_are_doubted_with_the_command(tmp_path: Path) -> None:
    clocks(tmp_path, 1020, 306, 1020)
    now = state.gpu_state(tmp_path)
    assert state.doubts(now, now) == ["the GPU's clock may vary from 306 to 1020 MHz: sudo jetson_clocks fixes the clocks"]


def test_fixed_clocks_are_not_doubted_and_throttled_ones_are(tmp_path: Path) -> None:
    clocks(tmp_path, 1020, 1020, 1020)
    assert state.doubts(state.gpu_state(tmp_path), state.gpu_state(tmp_path)) == []
    clocks(tmp_path, 612, 1020, 1020)
    [doubt] = state.doubts(state.gpu_state(tmp_path), state.gpu_state(tmp_path))
    assert doubt == "throttled: the GPU runs at 612 of 1020 MHz; cool it"


def test_power_mode_that_changes_meanwhile_is_doubted() -> None:
    [doubt] = state.doubts({"power_mode": "15W"}, {"power_mode": "7W"})
    assert doubt == "the power mode changed meanwhile, from 15W to 7W"


@pytest.mark.parametrize(
    ("printed", "power", "throttled"),
    [("97.31, 1980, 1980, 41, 0x0000000000000000", 97310, False), ("300.1, 1410, 1980, 88, 0x0000000000000040", 300100, True)],
)
def test_workstation_is_asked_through_nvidia_smi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, power: float, throttled: bool
) -> None:
    (tmp_path / "nvidia-smi").write_text(f'#!/bin/sh\necho "{printed}"\n')
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    now = state.gpu_state(tmp_path)
    assert (now["power_mw"], now["gpu_max_mhz"], now["throttled"]) == (power, 1980, throttled)
    assert bool(state.doubts(now, now)) is throttled


def test_orin_whose_nvidia_smi_knows_nothing_is_no_workstation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text('#!/bin/sh\necho "[N/A], [N/A], [N/A], [N/A], [N/A]"\n')
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(energy, "read_rails", dict)
    with energy.power_meter() as meter:
        assert meter is None


@pytest.mark.slow
def test_power_is_read_from_tegrastats_where_a_container_hides_the_sensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tegrastats").write_text(f'#!/bin/sh\necho "{LINES["orin-nano"]}"\nexec sleep 60\n')
    (tmp_path / "tegrastats").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(energy, "read_rails", dict)
    monkeypatch.setattr(energy, "SETTLE_S", 0.5)
    with energy.power_meter() as meter:
        assert meter is not None
        assert (meter.read_mw(), meter.of) == (6626, "VDD_IN, as tegrastats says")


@pytest.mark.slow
def test_energy_is_mean_power_times_the_time_of_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "SETTLE_S", 0.05)
    monkeypatch.setattr(energy, "IDLE_S", 0.3)
    working: list[bool] = []
    meter = energy.Meter(lambda: 9000.0 if working else 4000.0, "VDD_IN")

    def lift() -> None:
        working.append(True)
        time.sleep(0.01)

    found: Any = energy.energy_per_pose(meter, lift, frames_out=9, seconds=0.6)
    assert (found["idle_w"], found["mean_w"], found["of"]) == (pytest.approx(4), pytest.approx(9), "VDD_IN")
    assert found["gross_j_per_window"] == pytest.approx(9 * found["seconds"] / found["windows"])
    assert found["net_j_per_window"] == pytest.approx(5 * found["seconds"] / found["windows"])
    assert found["gross_j_per_pose"] == pytest.approx(found["gross_j_per_window"] / 9)


def test_mean_power_weighs_samples_by_their_time() -> None:
    assert energy.mean_watts([(0.0, 1000.0), (1.0, 1000.0), (1.5, 5000.0), (2.0, 5000.0)]) == pytest.approx((1 + 1.5 + 2.5) / 2)
