"""Steps work at the same time; a file's items all arrive, a live source's newest."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from poseedge.live.demo.pipeline import Pipeline, PipelineStep


def passing(name: str = "step", seconds: float = 0.0) -> PipelineStep:
    def work(item: int) -> list[int]:
        time.sleep(seconds)
        return [item]

    return PipelineStep(name, work)


def test_all_items_of_a_file_arrive_in_order_however_slow_a_step() -> None:
    with Pipeline(range(50), [passing("fast"), passing("slow", 0.002)]) as items:
        assert list(items) == list(range(50))


def test_a_step_may_give_none_or_several_and_finish() -> None:
    held: list[int] = []

    def work(item: int) -> list[int]:
        held.append(item)
        return [held.pop(0), -item] if len(held) > 2 else []

    with Pipeline(range(5), [PipelineStep("hold", work, lambda: list(held))]) as items:
        assert list(items) == [0, -2, 1, -3, 2, -4, 3, 4]


def test_steps_overlap_in_time() -> None:
    pipeline = Pipeline(range(20), [passing("one", 0.01), passing("two", 0.01), passing("three", 0.01)])
    start = time.perf_counter()
    with pipeline as items:
        assert len(list(items)) == 20
    one_after_the_other = sum(sum(times.seconds) for times in pipeline.times.values())
    assert time.perf_counter() - start < 0.75 * one_after_the_other


def camera(count: int, seconds: float) -> Iterator[int]:
    for number in range(count):
        yield number
        time.sleep(seconds)


def test_a_live_source_is_never_kept_waiting_and_the_newest_is_shown() -> None:
    pipeline = Pipeline(camera(60, 0.003), [passing("slow", 0.03)], live=True)
    with pipeline as items:
        seen = list(items)
    assert seen == sorted(set(seen))
    assert len(seen) < 30
    assert pipeline.dropped == 60 - len(seen)
    assert seen[-1] == 59


@pytest.mark.slow
def test_what_a_live_step_gives_at_once_is_not_dropped() -> None:
    def some(item: int) -> list[int]:
        return [] if item % 3 < 2 else [item - 2, item - 1, item]

    burst = PipelineStep("burst", some, lambda: range(60, 80))
    pipeline = Pipeline(camera(60, 0.01), [burst, passing("draw", 0.002)], live=True)
    with pipeline as items:
        assert list(items) == list(range(80))
    assert pipeline.dropped == 0


def test_a_file_that_is_not_taken_is_not_read_ahead() -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    with Pipeline(source(), [passing()]) as items:
        next(items)
        time.sleep(0.1)
        assert len(read) < 20


def test_an_error_of_the_source_comes_after_what_it_gave() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise ValueError("unplugged")

    seen: list[int] = []
    with Pipeline(source(), [passing()]) as items, pytest.raises(ValueError, match="unplugged"):
        seen.extend(items)
    assert seen == [0, 1, 2]


def test_an_error_of_a_step_ends_source_and_steps() -> None:
    def work(item: int) -> list[int]:
        if item == 5:
            raise ValueError("broken")
        return [item]

    before = threading.active_count()
    with (
        Pipeline(camera(10**6, 0.0001), [PipelineStep("breaks", work), passing()]) as items,
        pytest.raises(ValueError, match="broken"),
    ):
        list(items)
    assert threading.active_count() == before


def test_stop_lets_what_was_read_through_and_the_steps_finish() -> None:
    pipeline = Pipeline(camera(10**6, 0.001), [passing(), PipelineStep("last", lambda item: [item], lambda: [-1])])
    seen = []
    with pipeline as items:
        for item in items:
            seen.append(item)
            if item == 10:
                pipeline.stop()
    assert seen[:11] == list(range(11))
    assert seen[-1] == -1
    assert len(seen) < 60


def test_leaving_early_ends_the_threads() -> None:
    before = threading.active_count()
    with Pipeline(camera(10**6, 0.0001), [passing(), passing("two")]) as items:
        next(items)
    assert threading.active_count() == before


def test_times_are_those_of_each_step() -> None:
    pipeline = Pipeline(range(10), [passing("slow", 0.01), passing("quick")])
    with pipeline as items:
        list(items)
    assert list(pipeline.times) == ["read", "slow", "quick"]
    assert len(pipeline.times["slow"].seconds) == 10
    assert pipeline.times["slow"].mean_ms >= 10 > pipeline.times["quick"].mean_ms
