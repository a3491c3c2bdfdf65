"""Graphs read in a process of its own, which a native crash may end without ending the tests.

The child reads paths, one a line, opens each as the commands do, and answers ``read``, ``refused`` or what went wrong.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from poseedge.errors import PoseedgeError

LOADED = "loaded"


class Reader:
    """The child, started again when it ended; ``crashes`` are the exit statuses with which it did."""

    def __init__(self) -> None:
        self.crashes: list[int] = []
        self.child: subprocess.Popen[str] | None = None

    def read(self, path: Path, longest_s: float) -> str:
        """Return the child's answer, or that it crashed, or that it took too long."""
        if self.child is None:
            self.child = self.start()
        assert self.child.stdin
        assert self.child.stdout
        print(path, file=self.child.stdin, flush=True)
        ready, _, _ = select.select([self.child.stdout], [], [], longest_s)
        answer = self.child.stdout.readline().strip() if ready else "too slow"
        if answer and ready:
            return answer
        status = self.stop()
        if not ready:
            return answer
        self.crashes.append(status)
        return f"crashed with status {status}"

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.fuzz.reader"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert child.stdout
        assert child.stdout.readline().strip() == LOADED
        return child

    def stop(self) -> int:
        """End the child, if it has not ended itself, and return its status."""
        assert self.child
        self.child.kill()
        status = self.child.wait()
        for stream in (self.child.stdin, self.child.stdout):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.child = None
        return status


@contextlib.contextmanager
def reader() -> Iterator[Reader]:
    """Give a reader, whose child ends with the block."""
    found = Reader()
    try:
        yield found
    finally:
        if found.child is not None:
            found.stop()


def answer(path: Path) -> str:
    """Open a graph, lift with it once, and say how that went."""
    import numpy as np

    from poseedge.backends.registry import load

    try:
        lifter = load(path)
        lifter(np.zeros((1, lifter.spec.frames, 17, lifter.spec.channels), np.float32))
    except PoseedgeError as error:
        return "refused" if path.name in str(error) else f"does not name the file: {error!r:.300}"
    except Exception as error:
        return f"raised {error!r:.300}"
    return "read"


def main() -> None:
    """Answer until nobody asks any more."""
    from poseedge.graph import session  # noqa: F401  # what takes time, before the clock runs

    print(LOADED, flush=True)
    for line in sys.stdin:
        print(answer(Path(line.rstrip("\n"))).replace("\n", " "), flush=True)


if __name__ == "__main__":
    main()
