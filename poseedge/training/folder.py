"""The folder of a training run: the state to resume from, checkpoints and log."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch

from poseedge.errors import PoseedgeError
from poseedge.files import atomic_write
from poseedge.models.checkpoints import read_checkpoint, save_checkpoint
from poseedge.training.objective import Objective

Row = dict[str, float]

# What may change between the parts of one training.
_MAY_DIFFER = {"steps", "epochs", "evaluate_every"}


class RunFolder:
    """Where one training lives. ``state.pth`` alone is what resuming reads; all else follows from it.

    Every file is replaced as a whole, so a killed process leaves the last complete one. ``identity`` is what decides
    the result: recipe, number of windows, number of processes.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path, self.identity = path, identity
        self.history: list[Row] = []

    @property
    def state_file(self) -> Path:
        """The state that training goes on from."""
        return self.path / "state.pth"

    def read_state(self) -> dict[str, Any] | None:
        """Return the state that the folder holds, or None.

        Raises ``PoseedgeError`` if it is of another training.
        """
        if not self.state_file.exists():
            return None
        state = read_checkpoint(self.state_file)
        if differing := changed(state["identity"], self.identity):
            raise PoseedgeError(
                f"{self.state_file}: is of another training, with another {', '.join(differing)}",
                "give another --output; to go on from its weights there, add --init with its last.pth",
            )
        self.history = state["history"]
        return state

    def clean(self) -> None:
        """Remove what a process left that was killed while it wrote."""
        for leftover in [*self.path.glob(".*.pth.*"), *self.path.glob(".log.csv.*")]:
            leftover.unlink(missing_ok=True)

    def write_state(self, state: dict[str, Any]) -> None:
        """Write all that resuming needs."""
        with atomic_write(self.state_file) as temporary:
            torch.save(state | {"identity": self.identity, "history": self.history}, temporary)

    def enter(self, row: Row, objective: Objective, selection: str) -> None:
        """Enter an evaluation: ``last.pth``, the log, and ``best.pth`` if no ``selection`` before was as small."""
        best = all(row[selection] < before[selection] for before in self.history)
        self.history.append(row)
        for name in ["last", "best"] if best else ["last"]:
            for ending, network in objective.parts.items():
                save_checkpoint(self.path / f"{name}{ending}.pth", network, {"training": self.identity, "metrics": row})
        with atomic_write(self.path / "log.csv") as temporary, temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, row)
            writer.writeheader()
            writer.writerows(self.history)


def changed(before: dict[str, Any], now: dict[str, Any], table: str = "") -> list[str]:
    """Return the names of what differs between two identities, of all that may not."""
    found = []
    for key in sorted({*before, *now} - (set() if table else _MAY_DIFFER)):
        one, other = before.get(key), now.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found += changed(one, other, f"{table}{key}.")
        elif one != other:
            found.append(f"{table}{key}")
    return found
