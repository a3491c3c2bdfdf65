"""The timed calls of ``scaling``, in a process that holds nothing else: no PyTorch, one session at a time."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.bench.latency import pinned
from poseedge.bench.memory import own_peak_rss
from poseedge.lifter import random_keypoints

LEAST, MOST = 3, 200  # timed calls


def measure(wanted: dict[str, tuple[str, int]], budget: float, longest: float) -> dict[str, dict[str, float]]:
    """Return milliseconds (median) and peak bytes so far by size, in ascending order, until a call takes ``longest`` seconds."""
    found: dict[str, dict[str, float]] = {}
    opened: dict[str, OnnxLifter] = {}
    last = 0.0
    for size, (path, batch) in wanted.items():
        if last * batch > longest and found:
            break
        lifter = opened.get(path) or OnnxLifter(Path(path), threads=1)
        opened = {path: lifter}
        keypoints = random_keypoints(lifter.spec, batch)
        lifter(keypoints)
        spent: list[float] = []
        while len(spent) < LEAST or (sum(spent) < budget and len(spent) < MOST):
            started = time.perf_counter()
            lifter(keypoints)
            spent.append(time.perf_counter() - started)
            if spent[0] > longest:
                break
        last = float(np.median(spent)) / batch
        found[size] = {"ms": 1e3 * float(np.median(spent)), "peak_bytes": own_peak_rss()}
    return found


if __name__ == "__main__":
    with pinned(1):
        print(json.dumps(measure(*json.loads(sys.argv[1]))))
