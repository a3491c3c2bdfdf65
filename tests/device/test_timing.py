"""Times are taken warm, in turn for both forms, for as long as asked; and what was not stable is said."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from poseedge.device.runner import timing
from poseedge.device.runner.timing import BLOCK, Clock, time_forms


class Runner:
    """A device that takes a time for each window, and notes in which form it was run."""

    def __init__(self, spent_s: Any = lambda run: 0.0) -> None:
        self.forms: list[bool] = []
        self._spent_s, self._replayed = spent_s, False

    def replay(self, replaying: bool) -> None:
        self._replayed = replaying

    def infer(self, window: Any) -> None:
        self.forms.append(self._replayed)
        time.sleep(self._spent_s(len(self.forms)))

    def gpu_ms(self) -> float:
        return 0.25 if self._replayed else 0.5


def clocks(runner: Runner) -> list[Clock]:
    return [Clock(runner, np.zeros((3, 1)), replayed) for replayed in (False, True)]


def test_forms_are_timed_in_turn_and_each_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner()
    forms = clocks(runner)
    method = time_forms(forms, runs=60, warmup=0, seconds=9)
    turns = [runner.forms[0], *(b for a, b in zip(runner.forms, runner.forms[1:], strict=False) if a != b)]
    assert turns == [False, True] * 3  # blocks of 25, 25 and 10
    assert [len(form.host_ms) for form in forms] == [60, 60]
    assert [form.summaries()["gpu_ms"]["p50"] for form in forms] == [0.5, 0.25]
    assert (method["stable"], method["windows_per_block"]) == (None, BLOCK)


def test_warm_up_is_not_counted() -> None:
    runner = Runner()
    forms = clocks(runner)
    time_forms(forms, runs=3, warmup=5, seconds=9)
    assert (len(runner.forms), [len(form.host_ms) for form in forms]) == (16, [3, 3])


@pytest.mark.slow
def test_time_is_kept_where_no_number_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "WARM_S", 0.1)
    monkeypatch.setattr(timing, "STABLE", 9.0)
    forms = clocks(Runner(lambda run: 0.0002))
    method = time_forms(forms, runs=None, warmup=None, seconds=0.3)
    assert method["warmup_s"] >= 0.1
    assert method["timed_s"] >= 0.3
    assert method["stable"] is True
    assert len(forms[0].host_ms) == len(forms[1].host_ms) >= BLOCK


def test_device_that_never_settles_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "WARM_S", 0.05)
    monkeypatch.setattr(timing, "WARM_MOST_S", 0.3)
    runner = Runner(lambda run: 0.0002 * 3 ** (run // (2 * BLOCK) % 2))
    assert time_forms(clocks(runner), runs=None, warmup=None, seconds=0.01)["stable"] is False
