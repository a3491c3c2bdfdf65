"""What a measurement was made on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import poseedge

PACKAGES = ("numpy", "onnx", "onnxruntime", "torch", "onnxsim", "openvino", "tensorrt")
BUSY_LOAD = 0.75  # waiting or running processes for each core
DISTURBED = 0.05  # of the time of the cores that were timed on
_ROOT = Path("/")


def machine_facts(root: Path = _ROOT) -> dict[str, Any]:
    """Return processor, memory, system, package versions and accelerator, as plain values; None for what is unknown."""
    return {
        "cpu": cpu_model(root),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "cores_available": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "governor": text_of_file(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": load_average(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "gpus": gpus(),
        "jetson": jetson(root),
    }


def busy(facts: dict[str, Any]) -> str:
    """Return a warning if other programs were running when ``facts`` were taken, else nothing."""
    load, cores = facts.get("load_average") or 0.0, facts.get("cores", 1)  # another machine's runner tells neither
    return f"the machine was busy: load average {load:.1f} on {cores} cores" if load > BUSY_LOAD * cores else ""


def load_average() -> float | None:
    """Return how many processes have run or waited in the last minute, None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except OSError:  # some containers have no /proc/loadavg
        return None


class OtherWork:
    """How much of some cores' time goes to other programs, or to other guests of the same host, from its making on."""

    def __init__(self, cores: Sequence[int] | None, root: Path = _ROOT) -> None:
        self._root, self._cores = root, cores
        self._begun = busy_seconds(root, cores), time.process_time(), time.monotonic()

    def share(self) -> float | None:
        """Return it as a share of the cores' time; None where the system does not tell."""
        before, own, start = self._begun
        after, elapsed = busy_seconds(self._root, self._cores), time.monotonic() - start
        if before is None or after is None or elapsed <= 0:
            return None
        busy_s, cores = after[0] - before[0], after[1]
        return max(busy_s - (time.process_time() - own), 0.0) / (elapsed * cores)


def busy_seconds(root: Path, cores: Sequence[int] | None) -> tuple[float, int] | None:
    """Return how long ``cores`` (default: all) have been busy since the system started, seconds, and how many they are."""
    text = text_of_file(root / "proc/stat") or ""
    lines = {int(n): list(map(int, ticks.split())) for n, ticks in re.findall(r"^cpu(\d+)((?: \d+)+)$", text, re.MULTILINE)}
    kept = [ticks for core, ticks in lines.items() if cores is None or core in cores]
    # user, nice, system, idle, waiting for input, interrupts (2), stolen by the host; guests are in user already.
    ticks = sum(sum(each[:3]) + sum(each[5:8]) for each in kept)
    return (ticks / os.sysconf("SC_CLK_TCK"), len(kept)) if kept else None


def disturbed(share: float | None) -> str:
    """Return a warning if others took more of the cores than times bear, else nothing."""
    said = f"the machine was busy while it was timed: other programs took {share or 0:.0%} of the cores in use"
    return f"{said}; run again on an idle one" if share is not None and share > DISTURBED else ""


def cpu_model(root: Path = _ROOT) -> str:
    """Return the processor's name; ARM systems often give only the architecture."""
    cpuinfo = text_of_file(root / "proc/cpuinfo") or ""
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def package_versions() -> dict[str, str | None]:
    """Return the versions of the packages that decide a result; None where one is not installed."""
    providers = metadata.packages_distributions()  # onnxruntime may come as onnxruntime-gpu
    versions = {name: metadata.version(providers[name][0]) if name in providers else None for name in PACKAGES}
    return {"poseedge": poseedge.__version__, **versions}


def gpus() -> list[str]:
    """Return one line for each NVIDIA GPU that the driver shows: name, driver version, memory."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return [line.strip() for line in (output_of(query) or "").splitlines() if line.strip()]


def jetson(root: Path = _ROOT) -> dict[str, str | None] | None:
    """Return board, L4T release, JetPack and power mode, or None if this is no Jetson."""
    release = text_of_file(root / "etc/nv_tegra_release")
    model, mounted = root / "proc/device-tree/model", root / "tmp/nv_jetson_model"  # the second as jetson-containers mounts it
    board = text_of_file(model) or text_of_file(mounted)
    if release is None and not (board and re.search("jetson|tegra|nvidia", board, re.IGNORECASE)):
        return None
    l4t = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", release or "")
    mode = re.search(r"NV Power Mode: (\S+)", output_of(["nvpmodel", "-q"]) or "")
    return {
        "board": board,
        "l4t": f"{l4t[1]}.{l4t[2]}" if l4t else None,
        "jetpack": output_of(["dpkg-query", "--show", "--showformat=${Version}", "nvidia-jetpack"]),
        "power_mode": mode[1] if mode else None,
    }


def text_of_file(path: Path) -> str | None:
    """Return the text of a system file without padding, or None if it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def output_of(command: list[str]) -> str | None:
    """Return what ``command`` prints, or None if it is missing, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
