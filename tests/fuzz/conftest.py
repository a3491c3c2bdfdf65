"""How long every kind of file is damaged: ``SECONDS`` are the budget of the whole folder, shared by its tests alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

SECONDS = float(os.environ.get("FUZZ_SECONDS", "15"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
ROUND = 50  # examples of one run of hypothesis, which goes on making them where nobody reads them any more
LEAST = 6  # readings, however long one takes

Fuzz = Callable[[SearchStrategy[Any], Callable[[Any], object]], None]


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Fuzz:
    """Return what draws again and again and lets it be read, for this test's share of the time."""
    sharing = [item for item in request.session.items if item.path.parent == Path(__file__).parent]

    def again(drawn: SearchStrategy[Any], attempt: Callable[[Any], object]) -> None:
        end, tried, rounds = time.monotonic() + SECONDS / len(sharing), 0, 0

        def over() -> bool:
            return tried >= LEAST and time.monotonic() > end

        @settings(
            max_examples=ROUND,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(drawn)
        def check(value: Any) -> None:
            nonlocal tried
            if over():
                return
            tried += 1
            attempt(value)

        while not over():
            seed(SEED + rounds)(check)()
            rounds += 1
        print(f"{request.node.name}: {tried} readings")

    return again
