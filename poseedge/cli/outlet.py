"""Standard streams that are closed, or whose reader leaves early: neither is an error of the work."""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False  # as type checkers read it; see app.py for why typing is not imported
if TYPE_CHECKING:
    from typing import Any, TextIO


class Outlet(io.FileIO):
    """A file descriptor that takes everything, also when nobody reads it any more (``| head -1``).

    Where there is no room for it, that is an error once.
    """

    reader_gone = False

    def write(self, data: Any) -> int:
        """Write as ``io.FileIO`` does; without a reader, or after an error, the rest goes nowhere."""
        try:
            return super().write(data)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if not isinstance(error, BrokenPipeError):
                error.filename = "standard output"
                raise
            self.reader_gone = True
            return super().write(data)


def outlive_the_reader() -> None:
    """Let standard output go on without its reader: the verb still ends as its work did."""
    real = sys.__stdout__
    if real is None or sys.stdout is not real or real.isatty():
        return
    real.flush()
    raw = Outlet(real.fileno(), "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), real.encoding, real.errors)


def reader_gone() -> bool:
    """Say whether standard output has lost its reader, which only endless work needs to know."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, Outlet) and raw.reader_gone


def open_closed_streams() -> None:
    """Give each standard stream that was closed (``>&-``) the null device, so that no file takes its number."""
    sys.stdin = sys.stdin or open_null_device(0, "r")
    sys.stdout = sys.stdout or open_null_device(1, "w")
    sys.stderr = sys.stderr or open_null_device(2, "w")


def open_null_device(number: int, mode: str) -> TextIO:
    """Open the null device as file descriptor ``number``."""
    handle = os.open(os.devnull, os.O_RDWR)
    if handle != number:
        os.dup2(handle, number)
        os.close(handle)
    stream = os.fdopen(number, mode, closefd=False)
    assert isinstance(stream, io.TextIOWrapper)
    return stream
