"""What a user sees of a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Outcome]


def assert_refused(outcome: Outcome, error: str, hint: str = "") -> None:
    """Check for status 2, one line that says what is wrong and at most one that says what to do, and nothing else."""
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(("error: ", "hint: "))]
    assert outcome.status == 2, outcome
    assert error in said[0], outcome.err
    assert hint in "".join(said[1:]), outcome.err
    assert len(said) <= 2
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert list(Path.cwd().iterdir()) == []  # nothing is left behind
