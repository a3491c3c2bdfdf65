"""Candidates take turns, settle untimed, and every timed call counts."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from poseedge.bench.latency import Alternation, CacheEvictor, affordable_rounds, pinned, summary_ms, time_alternating
from poseedge.errors import PoseedgeError


class FakeTime:
    """A clock that moves only when a candidate says so."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.calls: list[str] = []

    def candidate(self, name: str, ms: float) -> Callable[[], None]:
        def call() -> None:
            self.calls.append(name)
            self.now_ns += int(ms * 1e6)

        return call

    def __call__(self) -> int:
        return self.now_ns


def test_each_candidate_gets_its_own_latencies() -> None:
    clock = FakeTime()
    candidates = {"fast": clock.candidate("fast", 1), "slow": clock.candidate("slow", 5)}
    times = time_alternating(candidates, Alternation(rounds=4, calls=3), clock=clock)
    np.testing.assert_allclose(times["fast"], np.full(12, 0.001))
    np.testing.assert_allclose(times["slow"], np.full(12, 0.005))


def test_every_round_gives_every_candidate_one_block() -> None:
    clock = FakeTime()
    candidates = {name: clock.candidate(name, 1) for name in "abc"}
    time_alternating(candidates, Alternation(rounds=5, settle=1, calls=2), clock=clock)
    blocks = np.array(clock.calls).reshape(5, 3, 3)  # rounds, blocks, calls
    assert (blocks == blocks[:, :, :1]).all()
    assert all(set(order) == {"a", "b", "c"} for order in blocks[:, :, 0])


def test_order_of_the_blocks_changes_between_rounds_and_is_the_same_for_the_same_seed() -> None:
    orders = []
    for _ in range(2):
        clock = FakeTime()
        time_alternating({name: clock.candidate(name, 1) for name in "abc"}, Alternation(8, settle=0, calls=1), clock=clock)
        orders.append([tuple(clock.calls[i : i + 3]) for i in range(0, 24, 3)])
    assert orders[0] == orders[1]
    assert len(set(orders[0])) > 1


def test_settling_calls_are_not_timed() -> None:
    clock, durations = FakeTime(), iter([100, 100, 1, 1] * 2)

    def warming_up() -> None:
        clock.now_ns += next(durations)

    times = time_alternating({"a": warming_up}, Alternation(rounds=2, settle=2, calls=2), clock=clock)
    np.testing.assert_allclose(times["a"], np.full(4, 1e-9))


def test_what_runs_before_a_call_runs_once_for_each_timed_call_and_is_not_timed() -> None:
    clock = FakeTime()
    before = clock.candidate("before", 50)
    times = time_alternating({"a": clock.candidate("a", 1)}, Alternation(2, settle=3, calls=4), before, clock=clock)
    assert clock.calls.count("before") == 8
    np.testing.assert_allclose(times["a"], np.full(8, 0.001))


def test_progress_is_reported_once_a_round() -> None:
    clock = FakeTime()
    rounds = clock.candidate("round", 0)
    time_alternating({"a": clock.candidate("a", 1)}, Alternation(rounds=6), after_round=rounds, clock=clock)
    assert clock.calls.count("round") == 6


@pytest.mark.parametrize(("ms", "rounds"), [(0.001, 100), (100, 9), (10_000, 3)])
def test_slow_candidates_get_fewer_rounds(ms: float, rounds: int) -> None:
    clock = FakeTime()
    assert affordable_rounds({"a": clock.candidate("a", ms)}, budget_s=10, most=100, clock=clock) == rounds


def test_summary_clips_nothing() -> None:
    latency_s = np.array([0.001] * 99 + [1.0])
    summary = summary_ms(latency_s).model_dump()
    assert summary["n"] == 100
    assert summary["p50"] == pytest.approx(1.0)
    assert summary["mean"] == pytest.approx(10.99)
    assert summary["std"] == pytest.approx(latency_s.std() * 1e3)


def test_summary_percentiles_are_those_of_numpy() -> None:
    latency_s = np.random.default_rng(0).exponential(size=500)
    summary = summary_ms(latency_s).model_dump()
    for percentile in (50, 90, 99):
        assert summary[f"p{percentile}"] == pytest.approx(np.percentile(latency_s, percentile) * 1e3)


def test_evictor_writes_every_byte_of_its_buffer() -> None:
    evict = CacheEvictor(1000)
    evict()
    evict()
    assert (evict.buffer == 2).all()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin threads")
def test_pinning_ends_with_the_block() -> None:
    before = os.sched_getaffinity(0)
    with pinned(1) as cores:
        assert cores is not None
        assert len(cores) == 1
        assert os.sched_getaffinity(0) == set(cores)
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin threads")
def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(PoseedgeError, match="threads on"), pinned(10_000):
        pass
