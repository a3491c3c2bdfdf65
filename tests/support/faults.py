"""A command that something happens to at the worst moment: just before what it wrote is put into its place.

A process imports what takes time once, then forks for each command it is told.
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

FAULTS = {"kill": signal.SIGKILL, "Ctrl-C": signal.SIGINT}
LONGEST_S = 120  # that one command may take on a busy machine
FULL = 256  # bytes that a file may have where the disk is full


class Faults:
    """The process that forks."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child

    def run(self, words: list[str], folder: Path, fault: str | None) -> tuple[int, str]:
        """Run ``poseedge`` in ``folder`` with something happening; return its status, negative for a signal, and its stderr."""
        assert self.child.stdin
        assert self.child.stdout
        errors = folder.parent / f"{folder.name}.stderr"
        job = {"words": words, "folder": str(folder), "fault": fault, "stderr": str(errors)}
        print(json.dumps(job), file=self.child.stdin, flush=True)
        ready, _, _ = select.select([self.child.stdout], [], [], LONGEST_S)
        if not ready:
            self.child.kill()
            raise TimeoutError(f"{' '.join(words)}: not done in {LONGEST_S} s")
        return int(self.child.stdout.readline()), errors.read_text()


@contextmanager
def faults() -> Iterator[Faults]:
    """Start the process; it ends with the block."""
    command = [sys.executable, "-m", "tests.support.faults"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        yield Faults(child)
        assert child.stdin
        child.stdin.close()


def command(job: dict[str, Any], errors: int) -> None:
    """Be the command, with stderr to the pipe ``errors``, which is never full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(errors, 2)
    os.chdir(job["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if job["fault"] == "full disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, resource.RLIM_INFINITY))
    elif job["fault"] is not None:
        strike_before_replacing(Path(job["folder"]), FAULTS[job["fault"]])
    sys.argv = ["poseedge", *job["words"]]
    from poseedge.cli.app import main

    try:
        main()
    except SystemExit as end:
        sys.stderr.flush()
        os._exit(int(end.code or 0))
    sys.stderr.flush()
    os._exit(0)


def strike_before_replacing(folder: Path, sent: signal.Signals) -> None:
    """Send this process a signal once, when it is about to put something into its place below ``folder``."""
    struck = False

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal struck
        if event == "os.rename" and not struck and folder in Path(os.fspath(arguments[1])).resolve().parents:
            struck = True
            signal.raise_signal(sent)

    sys.addaudithook(watch)


def main() -> None:
    """Fork for each command until there are no more."""
    import onnx  # noqa: F401
    import torch

    from poseedge.cli import commands  # noqa: F401
    from poseedge.export import pipeline  # noqa: F401
    from poseedge.graph import session  # noqa: F401

    torch.set_num_threads(1)
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            command(job, writing)
        os.close(writing)
        _, status = os.waitpid(child, 0)
        os.set_blocking(reading, False)  # what the command started may live on, and hold the other end
        with os.fdopen(reading, "rb") as said:
            Path(job["stderr"]).write_bytes(said.read() or b"")
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
