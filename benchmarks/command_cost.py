"""Seconds and memory of a command, with all processes that it starts. Linux only: it reads /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from poseedge.errors import PoseedgeError

SAMPLING_S = 0.02
POSEEDGE = (sys.executable, "-c", "from poseedge.cli.app import main; main()")


def cost_of_command(name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[float, int]:
    """Run ``command``; return wall seconds, and the most bytes that all its processes held at one time.

    Raises ``PoseedgeError`` that begins with ``name`` if it fails.
    """
    start, peak = time.perf_counter(), 0
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})}) as process,
    ):
        while process.poll() is None:
            peak = max(peak, resident_bytes(process.pid))
            time.sleep(SAMPLING_S)
        seconds = time.perf_counter() - start
        log.seek(0)
        if process.returncode:
            raise PoseedgeError(f"{name} failed with status {process.returncode}: {log.read()[-500:]}")
    return seconds, peak


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants; pages that they share count for each."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total = int(line.split()[1]) * 1024
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except OSError:  # it has ended meanwhile
        return total
    return total + sum(resident_bytes(int(child)) for child in children)
