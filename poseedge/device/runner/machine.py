"""The machine: board, system, power mode."""

import shutil
import subprocess
from pathlib import Path
from typing import Optional

BOARD_FILE = Path("/proc/device-tree/model")
RELEASE_FILE = Path("/etc/nv_tegra_release")


def board() -> Optional[str]:
    """Return the Jetson board's name, None on another machine."""
    return first_line(BOARD_FILE)


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
