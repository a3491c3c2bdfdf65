"""What the person is told, and why something is refused."""

import sys


class Refused(Exception):
    """Bad input, or a device that cannot do it: one line that says what and why."""


def note(text: str) -> None:
    """Tell the person something that belongs to no report."""
    print("run.py: " + text, file=sys.stderr, flush=True)
