"""A fresh process that loads and runs one artefact: its peak memory, and how long it takes until there are poses."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from poseedge.arrays import Float32Array
from poseedge.backends.registry import load
from poseedge.caches import CachedLifter
from poseedge.errors import PoseedgeError
from poseedge.lifter import Lifter, random_keypoints

CALLS = 3
COLD_RUNS = 3
QUICK_MS = 4000.0  # what takes longer to start is started once


@dataclass(frozen=True)
class Fresh:
    """What ``n`` fresh processes told: the highest peak, and the median time of each step, milliseconds."""

    peak_rss_bytes: int
    start_ms: float  # until Python runs and has imported the loader
    load_ms: float
    first_ms: float  # the first call
    total_ms: float
    n: int


def fresh(
    path: Path,
    threads: int = 1,
    batch: int = 1,
    backend: str | None = None,
    model: str | None = None,
    settings: Mapping[str, Any] | None = None,
    runs: int = COLD_RUNS,
) -> Fresh:
    """Load ``path`` and lift a few times in a fresh Python process, ``runs`` times over if that is quick."""
    wanted = {"threads": threads, "backend": backend, "model": model, "settings": dict(settings or {})}
    told = [one_process(path, wanted, batch)]
    if told[0]["total_ms"] < QUICK_MS:
        told += [one_process(path, wanted, batch) for _ in range(runs - 1)]
    middle = {name: statistics.median(each[name] for each in told) for name in ("start_ms", "load_ms", "first_ms", "total_ms")}
    return Fresh(max(int(each["peak_rss_bytes"]) for each in told), **middle, n=len(told))


def call_on(lifter: Lifter, keypoints: Float32Array) -> Callable[[], Any]:
    """Return a call with windows ``(B, T, 17, C)``, or with as many frames of a lifter that remembers."""
    if not isinstance(lifter, CachedLifter):
        return partial(lifter, keypoints)
    push, frames = lifter.begin().push, keypoints[:, 0]
    return partial(push, frames[0]) if len(frames) == 1 else lambda: [push(frame) for frame in frames]


def one_process(path: Path, wanted: Mapping[str, Any], batch: int) -> dict[str, float]:
    """Start one process and return what it tells; raises ``PoseedgeError`` with its last line if it fails."""
    words = json.dumps({"path": str(path), "batch": batch, "load": wanted, "started_ns": time.time_ns()})
    command = [sys.executable, "-m", "poseedge.bench.memory", words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise PoseedgeError(f"{path}: the process that measures its memory failed ({reason})")
    return dict(json.loads(done.stdout.splitlines()[-1]))


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


def main(words: str) -> None:
    """Load, lift, and print what that took; its clock is the parent's."""
    begun_ns = time.time_ns()
    wanted = json.loads(words)
    lifter = load(wanted["path"], **wanted["load"])
    loaded_ns = time.time_ns()
    call = call_on(lifter, random_keypoints(lifter.spec, wanted["batch"]))
    first_ns = time.time_ns()
    call()
    done_ns = time.time_ns()
    for _ in range(CALLS - 1):
        call()
    steps = {
        "start_ms": begun_ns - wanted["started_ns"],
        "load_ms": loaded_ns - begun_ns,
        "first_ms": done_ns - first_ns,
        "total_ms": done_ns - wanted["started_ns"],
    }
    print(json.dumps({name: spent / 1e6 for name, spent in steps.items()} | {"peak_rss_bytes": own_peak_rss()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
