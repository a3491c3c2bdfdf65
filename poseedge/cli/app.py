"""The ``poseedge`` command as a process: what becomes of errors, interrupts, and of a standard output that nobody reads.

Nothing is imported here that takes time, so that an interrupt finds no half-imported module and leaves no traceback.
"""

from __future__ import annotations

import sys

from poseedge.cli import interrupts
from poseedge.cli.outlet import open_closed_streams, outlive_the_reader

TYPE_CHECKING = False  # as type checkers read it, without the import
if TYPE_CHECKING:
    from poseedge.cli.interrupts import Interrupts


def main() -> None:
    """Run the command line; errors become one clear message, or a line of JSON with ``--json``, and exit status 2."""
    interrupted = interrupts.install()  # nothing to tidy up yet: an interrupt ends the process at once
    open_closed_streams()
    outlive_the_reader()
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        try:
            run(interrupted)
        finally:
            sys.stdout.flush()  # here, where a full disk is still told as an error
    except KeyboardInterrupt:
        sys.exit(interrupts.INTERRUPTED)
    except Exception as error:
        if debug:
            raise
        if interrupted and interrupted.seen and not tells_of_it(error):
            sys.exit(interrupts.INTERRUPTED)  # what was being imported made another error of it
        message, hint, word = said(error)
        print_error(message, hint, word)
        sys.exit(2)


def tells_of_it(error: Exception) -> bool:
    """Say whether a verb made an error of an interrupt on purpose, to tell what became of its work."""
    from poseedge.errors import PoseedgeError

    return isinstance(error, PoseedgeError) and isinstance(error.__cause__, KeyboardInterrupt)


def run(interrupted: Interrupts | None) -> None:
    """Import the verbs and run the one that is asked for."""
    import warnings

    if sys.argv[1:] == ["--version"]:  # told without them
        from poseedge import __version__

        print(f"poseedge {__version__}")
        return

    from poseedge.cli.commands import VERBS, application
    from poseedge.errors import PoseedgeWarning

    if interrupted:
        interrupted.act = interrupted.raise_once
    refuse_empty_words(sys.argv[1:])
    app = application(sys.argv[1:2] if sys.argv[1:2] and sys.argv[1] in VERBS else VERBS)
    warnings.simplefilter("ignore", PoseedgeWarning)  # for those who normalize keypoints themselves; commands do it for all
    if not wants_json():
        app(prog_name="poseedge")
        return
    try:
        status = app(prog_name="poseedge", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):  # wrong usage, by whichever click typer carries
            raise
        context = getattr(error, "ctx", None)
        print_error(error.format_message(), f"see {context.command_path if context else 'poseedge'} --help")
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)


def refuse_empty_words(words: list[str]) -> None:
    """Raise ``PoseedgeError`` for an option or argument that is empty, such as a variable of the shell that is not set."""
    from poseedge.errors import PoseedgeError

    for before, word in zip(["", *words], words, strict=False):
        if word == "" or (word.startswith("--") and word.find("=") == len(word) - 1):
            name = word.rstrip("=") or before
            raise PoseedgeError(f"an empty value after {name!r}", "give it one, or leave it out")


def wants_json() -> bool:
    """Say whether a program reads what is printed."""
    words = sys.argv[1:]
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def said(error: Exception) -> tuple[str, str, str]:
    """Return message, hint and the word before them."""
    from poseedge.errors import PoseedgeError

    if isinstance(error, PoseedgeError):
        return error.message, error.hint, "error"
    if isinstance(error, OSError):  # no room, no permission, not there
        where = f"{error.filename}: " if error.filename else ""
        return where + (error.strerror or str(error)), "", "error"
    return repr(error), "this is a bug; run again with --debug for the traceback and report it", "unexpected error"


def print_error(message: str, hint: str, word: str = "error") -> None:
    """Print an error to stderr."""
    import json

    from rich.markup import escape

    from poseedge.cli.console import err

    if wants_json():
        print(json.dumps({"error": message, "hint": hint}), file=sys.stderr)
        return
    err.print(f"[bold red]{word}:[/bold red] {escape(message)}", soft_wrap=True)
    if hint:
        err.print(f"[bold]hint:[/bold] {escape(hint)}", soft_wrap=True)
