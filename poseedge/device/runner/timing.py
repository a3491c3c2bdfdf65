"""Times that can be trusted: warm until stable, then blocks of plain starts and of graph replays in turn."""

import time
from typing import Any, Dict, List, Optional

import numpy as np

WARM_S = 2.0  # at least: a GPU's clock takes a second to rise
WARM_MOST_S = 20.0
STABLE = 0.02  # two blocks in a row whose medians differ by less
BLOCK = 25  # windows


class Clock:
    """Times of single windows in one form: on the host from input array to pose array, and of the network on the GPU."""

    def __init__(self, runner: Any, windows: Any, replayed: bool) -> None:
        self.runner, self.windows, self.replayed = runner, windows, replayed
        self.host_ms: List[float] = []
        self.gpu_ms: List[float] = []
        self._next = 0

    def block(self, count: int) -> float:
        """Time ``count`` windows more; return their median on the host in ms."""
        self.runner.replay(self.replayed)
        for _ in range(count):
            window = self.windows[self._next % len(self.windows)]
            self._next += 1
            start = time.perf_counter()
            self.runner.infer(window)
            self.host_ms.append(1000 * (time.perf_counter() - start))
            spent = self.runner.gpu_ms()
            if spent is not None:
                self.gpu_ms.append(spent)
        return float(np.median(self.host_ms[-count:]))

    def forget(self) -> None:
        """Drop the times so far."""
        del self.host_ms[:], self.gpu_ms[:]

    def summaries(self) -> Dict[str, Any]:
        """Return what a row of the report tells of the times."""
        return {"latency_ms": time_summary(self.host_ms), "gpu_ms": time_summary(self.gpu_ms) if self.gpu_ms else None}


def time_forms(forms: List[Clock], runs: Optional[int], warmup: Optional[int], seconds: float) -> Dict[str, Any]:
    """Time ``forms`` in turn, block by block: ``runs`` windows each, or ``seconds`` in all; returns how it was done.

    ``warmup``: windows before, in each form; None: for two seconds at least, until two blocks agree.
    """
    warm_s, stable = warm_up(forms, warmup)
    for form in forms:
        form.forget()
    start = time.monotonic()
    while len(forms[-1].host_ms) < runs if runs is not None else time.monotonic() - start < seconds:
        for form in forms:
            form.block(min(BLOCK, runs - len(form.host_ms)) if runs is not None else BLOCK)
    return {"warmup_s": warm_s, "stable": stable, "timed_s": time.monotonic() - start, "windows_per_block": BLOCK}


def warm_up(forms: List[Clock], warmup: Optional[int]) -> "tuple[float, Optional[bool]]":
    """Run windows that are not counted; return for how long, and whether the times had become stable (None: not asked)."""
    start = time.monotonic()
    if warmup is not None:
        for form in forms:
            form.block(warmup) if warmup else None
        return time.monotonic() - start, None
    medians: Dict[int, float] = {}
    while True:
        stable = True
        for number, form in enumerate(forms):
            found = form.block(BLOCK)
            before = medians.get(number)
            stable = stable and before is not None and abs(found - before) <= STABLE * before
            medians[number] = found
        elapsed_s = time.monotonic() - start
        if (stable and elapsed_s >= WARM_S) or elapsed_s >= WARM_MOST_S:
            return elapsed_s, stable


def time_summary(values: List[float]) -> Dict[str, Any]:
    """Return percentiles, mean and standard deviation of times in ms."""
    p50, p90, p99 = (float(value) for value in np.percentile(values, (50, 90, 99)))
    return {"p50": p50, "p90": p90, "p99": p99, "mean": float(np.mean(values)), "std": float(np.std(values)), "n": len(values)}
