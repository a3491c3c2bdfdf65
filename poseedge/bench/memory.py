"""Peak memory of loading and running one artefact, measured in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

from poseedge.backends.registry import load
from poseedge.errors import PoseedgeError
from poseedge.lifter import random_keypoints

_CALLS = 3


def peak_rss(path: Path, threads: int = 1, batch: int = 1, backend: str | None = None, model: str | None = None) -> int:
    """Return the peak resident bytes of a fresh Python process that loads ``path`` and lifts a few times."""
    wanted = [str(path), str(threads), str(batch), backend or "", model or ""]
    command = [sys.executable, "-m", "poseedge.bench.memory", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise PoseedgeError(f"{path}: the process that measures its memory failed ({reason})")
    return int(done.stdout)


def own_peak_rss() -> int:
    """Return this process's peak resident bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux getrusage also remembers the parent's size from before exec; VmHWM does not.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(path: str, threads: str, batch: str, backend: str, model: str) -> None:
    """Load, lift, and print the peak; an empty ``backend`` or ``model`` is none."""
    lifter = load(path, threads=int(threads), model=model or None, backend=backend or None)
    keypoints = random_keypoints(lifter.spec, int(batch))
    for _ in range(_CALLS):
        lifter(keypoints)
    print(own_peak_rss())


if __name__ == "__main__":
    main(*sys.argv[1:])
