"""What Ctrl-C does: the command ends with status 130, at whatever moment it comes.

The first raises ``KeyboardInterrupt``, so that what is open is tidied up; the next ends the process at once. What arrives
within ``ECHO_S`` of one is the same Ctrl-C: ``timeout -s INT`` sends two, to the process and to its group, and so may a shell
to what a wrapper passes its signals on to. Once Python takes itself down, nothing is left to interrupt.
"""

from __future__ import annotations

import atexit
import os
import signal
import time

TYPE_CHECKING = False  # as type checkers read it; see app.py for why typing is not imported
if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130  # as shells count it
ECHO_S = 1.0


class Interrupts:
    """The handler of SIGINT of this process: what the next Ctrl-C does."""

    def __init__(self) -> None:
        self.last_s = -ECHO_S
        self.seen = False  # has one been raised?
        self.act: Callable[[], None] = end_at_once

    @classmethod
    def raising(cls) -> Interrupts:
        """Return one whose first Ctrl-C raises."""
        found = cls()
        found.act = found.raise_once
        return found

    def __call__(self, *_: object) -> None:
        """Hear of a signal."""
        now_s, before_s = time.monotonic(), self.last_s
        self.last_s = now_s
        if now_s - before_s >= ECHO_S:
            self.act()

    def raise_once(self) -> None:
        """Raise ``KeyboardInterrupt``; another Ctrl-C ends the process."""
        self.seen, self.act = True, end_at_once
        raise KeyboardInterrupt


def end_at_once() -> None:
    """End the process without tidying up, as where there is nothing to tidy up, or somebody asks for it again."""
    os._exit(INTERRUPTED)


def install() -> Interrupts | None:
    """Handle SIGINT, ending the process for now; None if who started it has it ignored, or handles it."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return None
    found = Interrupts()
    signal.signal(signal.SIGINT, found)
    atexit.unregister(ignore)
    atexit.register(ignore)
    return found


def ignore() -> None:
    """Ignore SIGINT: as it ends, Python puts back the system's handler, by which the process would end without its status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
