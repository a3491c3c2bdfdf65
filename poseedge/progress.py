"""How long-running work says where it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Advance = Callable[[int], None]
Tell = Callable[[str, int, int], None]  # (what is being done, steps done, steps in all), whenever that changes
Say = Callable[[str], None]  # a line that stays
Stage = Callable[[str, int | None], AbstractContextManager[Advance]]  # (description, total if known) -> context with Advance


def silent(description: str, total: int | None) -> AbstractContextManager[Advance]:
    """The stage of one who does not listen."""
    return nullcontext(lambda _: None)
