"""Clocks, governor and temperatures of the GPU, and what makes times say little."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Optional

from poseedge.device.runner.machine import first_line, power_mode
from poseedge.device.runner.sensors.rails import read_number

# The GPU's names under devfreq: Orin, Orin on JetPack 5, Xavier, TX2, Nano, Thor.
GPU_NAMES = re.compile(r"gpu|ga10b|gv11b|gp10b|gm20b")
QUERY = ("power.draw", "clocks.sm", "clocks.max.sm", "temperature.gpu", "clocks_throttle_reasons.active")
SLOWED = 0x8 | 0x20 | 0x40  # NVML: hardware slowdown, thermal slowdown by software and by hardware
LOCK = "sudo jetson_clocks fixes the clocks"
STEADY = 0.95  # of the highest clock


def gpu_state(root: Path = Path("/")) -> Dict[str, Any]:
    """Return what is known now: clocks in MHz, governor, temperatures in degrees Celsius, power mode, throttling."""
    state = {"power_mode": power_mode(), "temperatures_c": temperatures(root)}  # type: Dict[str, Any]
    state.update(tegra_clocks(root) or workstation_state() or {})
    return state


def tegra_clocks(root: Path) -> Optional[Dict[str, Any]]:
    """Return the clocks of a Jetson's GPU, None on another machine."""
    for device in sorted((root / "sys/class/devfreq").glob("*")):
        if GPU_NAMES.search(device.name):
            found = {"gpu_{}_mhz".format(kind): mhz(device / (kind + "_freq")) for kind in ("cur", "min", "max")}
            return dict(found, governor=first_line(device / "governor"))
    return None


def mhz(path: Path) -> Optional[float]:
    """Return a frequency that a system file holds in Hz."""
    found = read_number(path)
    return None if found is None else found / 1e6


def temperatures(root: Path) -> Dict[str, float]:
    """Return the thermal zones by name; a block that is powered off has none, or an impossible one."""
    found = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value, name = read_number(zone / "temp"), (first_line(zone / "type") or "").lower()
        if value is not None and value > -100000 and "pmic" not in name:
            found[re.split("[-_]", name)[0]] = value / 1000
    return found


def workstation_state() -> Optional[Dict[str, Any]]:
    """Return what nvidia-smi says of the first GPU, None where there is none; Orin's says next to nothing."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=" + ",".join(QUERY), "--format=csv,noheader,nounits", "--id=0"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    cells = [cell.strip() for cell in done.stdout.strip().split(",")]
    if done.returncode or len(cells) != len(QUERY):
        return None
    power, clock, highest, heat = (number_or_none(cell) for cell in cells[:4])
    reasons = int(cells[4], 16) if re.match("0x[0-9a-fA-F]+$", cells[4]) else 0
    state = {"gpu_cur_mhz": clock, "gpu_max_mhz": highest, "throttled": bool(reasons & SLOWED)}  # type: Dict[str, Any]
    state["power_mw"] = None if power is None else 1000 * power
    if heat is not None:
        state["temperatures_c"] = {"gpu": heat}
    return state


def number_or_none(text: str) -> Optional[float]:
    """Return the number that ``text`` is."""
    try:
        return float(text)
    except ValueError:  # [Not Supported]
        return None


def doubts(before: Dict[str, Any], after: Dict[str, Any]) -> List[str]:
    """Return why times between these two states say little, with what mends it."""
    found = []
    clocks = [after.get("gpu_{}_mhz".format(kind)) for kind in ("cur", "min", "max")]
    if None not in clocks:
        now, low, high = (float(clock or 0) for clock in clocks)
        if low != high:
            found.append("the GPU's clock may vary from {:.0f} to {:.0f} MHz: {}".format(low, high, LOCK))
        elif now < STEADY * high:
            found.append("throttled: the GPU runs at {:.0f} of {:.0f} MHz; cool it".format(now, high))
    if after.get("throttled"):
        found.append("throttled: the driver slows the GPU down for its heat; cool it")
    if before.get("power_mode") != after.get("power_mode"):
        found.append("the power mode changed meanwhile, from {power_mode} to ".format(**before) + str(after["power_mode"]))
    return found
