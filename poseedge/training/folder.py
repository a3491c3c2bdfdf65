"""The folder of a training run: the state to resume from, checkpoints and log."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from poseedge.errors import PoseedgeError
from poseedge.files import atomic_write, locked, refuse_workplace
from poseedge.models.checkpoints import read_checkpoint, save_checkpoint, write_torch
from poseedge.training.objective import Objective

LogRow = dict[str, float]
OTHER_FOLDER = "it will not be overwritten: choose another folder with --output"

# What may change between the parts of one training.
_MAY_DIFFER = {"steps", "epochs", "evaluate_every"}
_WRITTEN = ("last*.pth", "best*.pth", "log.csv", "curves.png")  # beside the state


class RunFolder:
    """Where one training lives. ``state.pth`` alone is what resuming reads; all else follows from it.

    Every file is replaced as a whole, so a killed process leaves the last complete one. ``identity`` is what decides
    the result: recipe, number of windows, number of processes.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path, self.identity = path, identity
        self.history: list[LogRow] = []

    @property
    def state_file(self) -> Path:
        """The state that training goes on from."""
        return self.path / "state.pth"

    def read_state(self) -> dict[str, Any] | None:
        """Return the state that the folder holds, or None.

        Raises ``PoseedgeError`` if it is of another training, or if without a state there is what training would overwrite.
        """
        if not self.state_file.exists():
            if not self.begun():
                refuse_to_overwrite(self.path, _WRITTEN)
            return None
        state = read_checkpoint(self.state_file)
        if not isinstance(state.get("identity"), dict) or not isinstance(state.get("history"), list):
            raise PoseedgeError(f"{self.state_file}: is no training's state", OTHER_FOLDER)
        if differing := changed(state["identity"], self.identity):
            raise PoseedgeError(
                f"{self.state_file}: is of another training, with another {', '.join(differing)}",
                "give another --output; to go on from its weights there, add --init with its last.pth",
            )
        self.history = state["history"]
        return state

    def begun(self) -> bool:
        """Say whether ``last.pth`` is of this training, which was then killed before it wrote its first state."""
        with contextlib.suppress(PoseedgeError):
            record = read_checkpoint(self.path / "last.pth").get("record")
            told = record.get("training") if isinstance(record, dict) else None
            return isinstance(told, dict) and not changed(told, self.identity)
        return False

    def write_state(self, state: dict[str, Any]) -> None:
        """Write all that resuming needs."""
        write_torch(state | {"identity": self.identity, "history": self.history}, self.state_file)

    def enter(self, row: LogRow, objective: Objective, selection: str) -> None:
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


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let this process alone train in ``folder``; raises ``PoseedgeError`` if another does, or if it is where you work."""

    def refuse() -> None:
        raise PoseedgeError(f"{folder}: another training runs in it", "wait for it, or choose another folder with --output")

    refuse_workplace(folder)
    with locked(folder, refuse):
        yield


def refuse_to_overwrite(folder: Path, patterns: tuple[str, ...]) -> None:
    """Raise ``PoseedgeError`` if ``folder`` holds a file that fits one of ``patterns``."""
    if found := sorted(path for pattern in patterns for path in folder.glob(pattern)):
        raise PoseedgeError(f"{found[0]}: exists, and no state.pth says that it is of this training", OTHER_FOLDER)


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
