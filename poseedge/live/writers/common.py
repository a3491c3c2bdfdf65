"""What all writers share: their options, their answer, and one file per person where a format holds one person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from poseedge.files import atomic_write
from poseedge.live.types import Lifted


@dataclass(frozen=True)
class WriterOptions:
    """What a user may choose; a writer that has no use for an option passes over it."""

    exact: bool = False  # GLB: joints where they were lifted, at the price of limbs that change their length


@dataclass(frozen=True)
class Written:
    """The files written, and what their reader should know."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    distance_mm: dict[int, tuple[float, float]] = field(default_factory=dict)  # by id: mean, p99 of fixed limbs from joints


def people_seen(lifted: Lifted) -> list[int]:
    """Return the places of those people that have a pose in at least one frame."""
    return [int(person) for person in np.flatnonzero(lifted.seen.any(axis=1))]


@contextmanager
def file_per_person(path: Path, lifted: Lifted) -> Iterator[list[tuple[int, Path, Path]]]:
    """Yield each person seen with a temporary path to write to and the path that it becomes: all of them, or none.

    One person's file is ``path`` itself; several people's are ``NAME_ID.SUFFIX``.
    """
    people = people_seen(lifted)
    with ExitStack() as stack:
        files = []
        for person in people:
            final = path if len(people) == 1 else path.with_name(f"{path.stem}_{lifted.ids[person]}{path.suffix}")
            files.append((person, stack.enter_context(atomic_write(final)), final))
        yield files
