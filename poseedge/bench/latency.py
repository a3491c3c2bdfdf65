"""Latency of callables that take turns in one process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from poseedge.arrays import Float64Array
from poseedge.bench.results import Timing
from poseedge.errors import PoseedgeError

Candidate = Callable[[], object]
ReadClock = Callable[[], int]  # nanoseconds

EVICTED_BYTES = 64 << 20


@dataclass(frozen=True)
class Alternation:
    """How candidates take turns: each round, in random order, gives every one a block of calls."""

    rounds: int
    settle: int = 3  # untimed calls that begin a block: the candidate fetches its weights back into the caches
    calls: int = 8  # timed calls in a block
    seed: int = 0  # of the order


def time_alternating(
    candidates: Mapping[str, Candidate],
    schedule: Alternation,
    before_call: Candidate | None = None,
    after_round: Candidate | None = None,
    clock: ReadClock = time.perf_counter_ns,
) -> dict[str, Float64Array]:
    """Return ``rounds * calls`` latencies, seconds, of each candidate.

    ``before_call`` runs, untimed, before each timed call (``CacheEvictor``), ``after_round`` between rounds.
    """
    order, names = np.random.default_rng(schedule.seed), list(candidates)
    times: dict[str, list[int]] = {name: [] for name in names}
    for _ in range(schedule.rounds):
        for turn in order.permutation(len(names)):
            call = candidates[names[turn]]
            for _ in range(schedule.settle):
                call()
            times[names[turn]] += [time_call(call, before_call, clock) for _ in range(schedule.calls)]
        if after_round:
            after_round()
    return {name: np.array(spent) / 1e9 for name, spent in times.items()}


def time_call(call: Candidate, before_call: Candidate | None, clock: ReadClock) -> int:
    """Return the nanoseconds of one call."""
    if before_call:
        before_call()
    start = clock()
    call()
    return clock() - start


def affordable_rounds(
    candidates: Mapping[str, Candidate], budget_s: float, most: int, least: int = 3, clock: ReadClock = time.perf_counter_ns
) -> int:
    """Return how many rounds of the usual blocks fit into ``budget_s``, within ``least`` and ``most``."""
    usual = Alternation(rounds=1)
    first = time_alternating(candidates, Alternation(rounds=1, settle=1, calls=1), clock=clock)
    round_s = sum(float(spent[0]) for spent in first.values()) * (usual.settle + usual.calls)
    return int(np.clip(budget_s / max(round_s, 1e-9), least, most))


def summary_ms(latency_s: Float64Array) -> Timing:
    """Return the percentiles, mean and standard deviation of ``latency_s``, seconds, in milliseconds."""
    p50, p90, p99 = (float(value) for value in np.percentile(latency_s * 1e3, [50, 90, 99]))
    mean, std = float(latency_s.mean() * 1e3), float(latency_s.std() * 1e3)
    return Timing(p50=p50, p90=p90, p99=p99, mean=mean, std=std, n=len(latency_s))


class CacheEvictor:
    """Writes a buffer larger than the caches, as the detector that runs before the lifter would."""

    def __init__(self, size: int = EVICTED_BYTES) -> None:
        self.buffer = np.zeros(size, np.uint8)

    def __call__(self) -> None:
        # Read and write: a plain fill may bypass the caches (non-temporal stores) and evict nothing.
        np.add(self.buffer, 1, out=self.buffer)


@contextmanager
def pinned(threads: int) -> Iterator[list[int] | None]:
    """Keep this thread, and the pools it starts, on the last ``threads`` cores; yields them, or None where the OS cannot."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    if threads > len(allowed):
        raise PoseedgeError(f"{threads} threads on {len(allowed)} available cores", f"use --threads {len(allowed)} or fewer")
    cores = sorted(allowed)[-threads:]  # the first core serves most interrupts
    os.sched_setaffinity(0, cores)
    try:
        yield cores
    finally:
        os.sched_setaffinity(0, allowed)
