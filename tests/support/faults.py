"""A command that something happens to at the worst moment: just before what it wrote is put into its place.

A process imports what takes time once, then forks for each command it is told. What starts threads does not outlive a fork, so
another process runs its commands itself, one after the other, until one is killed.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STATUS = {"kill": -9, "Ctrl-C": 130, "full disk": 2}  # what a command ends with
SIGNALS = {"kill": signal.SIGKILL, "Ctrl-C": signal.SIGINT}
LONGEST_S = 120  # that one command may take on a busy machine
FULL = 256  # bytes that a file may have where the disk is full
ITSELF = "itself"


class Faults:
    """The process that runs commands."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child

    def run(self, words: list[str], folder: Path, fault: str | None, place: int = 1) -> tuple[int, str]:
        """Run ``poseedge`` in ``folder`` with something happening; return its status, negative for a signal, and its stderr.

        A signal comes when it is about to put a file into its place for the ``place``-th time.
        """
        assert self.child.stdin
        assert self.child.stdout
        errors = folder.parent / f"{folder.name}.stderr"
        job = {"words": words, "folder": str(folder), "fault": fault, "place": place, "stderr": str(errors)}
        print(json.dumps(job), file=self.child.stdin, flush=True)
        ready, _, _ = select.select([self.child.stdout], [], [], LONGEST_S)
        if not ready:
            self.child.kill()
            raise TimeoutError(f"{' '.join(words)}: not done in {LONGEST_S} s")
        status = self.child.stdout.readline() or self.child.wait()
        return int(status), errors.read_text()


@contextmanager
def faults(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[Faults]:
    """Start the process; it ends with the block. With ``ITSELF`` it runs the commands itself."""
    command = [sys.executable, "-m", "tests.support.faults", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        yield Faults(child)
        assert child.stdin
        child.stdin.close()


def command(job: dict[str, Any]) -> int:
    """Be the command; return its status."""
    from poseedge.cli.app import main

    os.chdir(job["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    full = job["fault"] == "full disk"
    if job["fault"] in SIGNALS:
        strike_before_replacing(Path(job["folder"]), SIGNALS[job["fault"]], job["place"])
    sys.argv = ["poseedge", *job["words"]]
    try:
        if full:
            limit_files(FULL)
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        limit_files(resource.RLIM_INFINITY)
        sys.stderr.flush()
    return 0


def limit_files(size: int) -> None:
    """Let no file of this process be larger than ``size`` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def strike_before_replacing(folder: Path, sent: signal.Signals, place: int) -> None:
    """Send this process a signal once, when it is about to put a ``place``-th thing into its place below ``folder``."""
    left = place

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "os.rename" and left and folder in Path(os.fspath(arguments[1])).resolve().parents:
            left -= 1
            if not left:
                signal.raise_signal(sent)

    sys.addaudithook(watch)


def forked(job: dict[str, Any]) -> int:
    """Run a command in a process of its own; what it says goes through a pipe, which is never full."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(writing, 2)
        os._exit(command(job))
    os.close(writing)
    _, status = os.waitpid(child, 0)
    os.set_blocking(reading, False)  # what the command started may live on, and hold the other end
    with os.fdopen(reading, "rb") as said:
        Path(job["stderr"]).write_bytes(said.read() or b"")
    return os.waitstatus_to_exitcode(status)


def by_itself(job: dict[str, Any]) -> int:
    """Run a command in this process."""
    Path(job["stderr"]).touch()
    reading, writing = os.pipe()
    before = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    status = command(job)
    os.dup2(before, 2)
    os.close(before)
    with os.fdopen(reading, "rb") as said:
        os.set_blocking(reading, False)
        Path(job["stderr"]).write_bytes(said.read() or b"")
    return status


def main() -> None:
    """Run each command until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    run = by_itself if ITSELF in sys.argv else forked
    if run is forked:
        import onnx  # noqa: F401
        import torch

        from poseedge.bench import measure
        from poseedge.cli.commands import application
        from poseedge.export import pipeline  # noqa: F401
        from poseedge.graph import session  # noqa: F401
        from tests.support import samples

        application()
        vars(measure)["fresh"] = lambda *_: samples.fresh()  # no processes that its own tests start
        torch.set_num_threads(1)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(run(json.loads(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
