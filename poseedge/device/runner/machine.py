"""The machine: board, system, power mode."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Optional

# The second is what jetson-containers mounts: Docker masks /sys/firmware, where the first really lies.
BOARD_FILES = (Path("/proc/device-tree/model"), Path("/tmp/nv_jetson_model"))
BOARD_VARIABLE = "JETSON_MODEL"  # as jetson-stats exports it
RELEASE_FILE = Path("/etc/nv_tegra_release")


def board() -> Optional[str]:
    """Return the Jetson board's name; None where it is unknown: on another machine, or in a container that was not told."""
    known = [first_line(path) for path in BOARD_FILES] + [os.environ.get(BOARD_VARIABLE)]
    return next((name for name in known if name), None)


def module_memory_gib(total_bytes: int) -> int:
    """Return the memory that a module is sold with, the next power of two: what the system keeps of it varies by release."""
    return 1 << (max(total_bytes - 1, 0) >> 30).bit_length()


def first_line(path: Path) -> Optional[str]:
    """Return the first line of a small system file, None if it cannot be read."""
    try:
        return path.read_text(errors="replace").rstrip("\0\n").split("\n")[0]
    except OSError:
        return None


def power_mode() -> Optional[str]:
    """Return what nvpmodel says of the power mode: no Jetson time means anything without it."""
    if shutil.which("nvpmodel") is None:
        return None
    found = subprocess.run(["nvpmodel", "-q"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    return " ".join(found.stdout.split()) or None
