"""Writing files so that nothing half-written is ever seen, hashing them, and reading TOML."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poseedge.errors import PoseedgeError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MARK = ".poseedge-part"  # in the names of what is being written
OLD = ".old."  # in the name of the folder that holds what is being replaced
LARGEST_TEXT = 1 << 26  # bytes of a JSON or TOML file
DEEPEST = 50  # tables and lists in each other


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the place of ``path`` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path, path.suffix)

    def create() -> Path:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=MARK + path.suffix)
        os.close(handle)
        return Path(name)

    temporary, claim = claimed(create)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if error.filename is None:  # a full disk does not say which
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
        release(claim)


@dataclass(frozen=True)
class Owned:
    """What of a folder this program wrote: files that go when it is replaced, and what moves into the new one."""

    replaced: frozenset[str]
    kept: frozenset[str]


@contextmanager
def atomic_folder(path: Path, owned: Callable[[Path], Owned]) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it takes the place of ``path`` when the block ends without an error.

    What is there already is replaced only if ``owned`` knows all of it, before the block and again after it. ``owned`` is asked
    only if something is there, and raises its own ``PoseedgeError`` if ``path`` is not such a folder at all. Another process that
    is filling a folder for the same ``path`` is an error too.
    """
    kept_of(path, owned)
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    if sweep(target, ""):
        raise PoseedgeError(f"{path}: another process is writing it", "wait for it, or choose another folder with --output")
    recover(target, owned)

    def create() -> Path:
        return Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=MARK))

    temporary, claim = claimed(create)
    try:
        yield temporary
        temporary.chmod(0o755)
        take_place(temporary, target, kept_of(path, owned))  # hours may have passed, and other files come
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        release(claim)


def claimed(create: Callable[[], Path]) -> tuple[Path, int | None]:
    """Return a new temporary file or folder and the lock on it, which dies with this process."""
    while True:
        temporary = create()
        claim = lock_of(temporary)
        if temporary.exists():
            return temporary, claim
        release(claim)  # another process took it for a leftover before it was locked


def sweep(path: Path, suffix: str) -> bool:
    """Remove what killed processes left of writing ``path``; return whether a living one is writing it now."""
    busy = False
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.{'[a-z0-9_]' * 8}{MARK}{glob.escape(suffix)}"):
        if (claim := lock_of(leftover)) is None:
            busy = busy or leftover.exists()
            continue
        if is_folder(leftover):
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
        release(claim)
    return busy


def lock_of(path: Path) -> int | None:
    """Return a lock on ``path`` that holds until it is released, None if another has it, or where there are no locks."""
    try:
        import fcntl

        handle = os.open(path, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def release(claim: int | None) -> None:
    """Give up a lock."""
    if claim is not None:
        os.close(claim)


def kept_of(path: Path, owned: Callable[[Path], Owned]) -> Owned:
    """Return what ``path`` holds; raises ``PoseedgeError`` if anything in it is not known, or the process works in it."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        known = Owned(frozenset(), frozenset())
    else:
        known = owned(path)
        foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in known.replaced | known.kept)
        folders = sorted(name for name in known.replaced if is_folder(path / name))
        if foreign or folders:
            raise PoseedgeError(
                f"{path}: holds {(foreign + folders)[0]!r}, which poseedge did not write, so it will not be replaced",
                "choose another folder with --output, or move that elsewhere first",
            )
    refuse_workplace(path)
    return known


def refuse_workplace(path: Path) -> None:
    """Raise ``PoseedgeError`` if ``path`` is the folder that the process works in, or one around it."""
    if path.exists() and path.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise PoseedgeError(
            f"{path}: is the folder that you work in; it would be filled or replaced", "name another with --output"
        )


def is_folder(path: Path) -> bool:
    """Say whether ``path`` is a folder itself, not a link to one."""
    return path.is_dir() and not path.is_symlink()


def take_place(new: Path, path: Path, known: Owned) -> None:
    """Put the folder ``new`` at ``path``; of what is there, move what is kept and remove by name, and nothing else, the rest."""
    if not path.exists():
        new.replace(path)
        return
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}{OLD}")) / path.name
    path.replace(old)
    try:
        new.replace(path)
    except BaseException:
        old.replace(path)
        old.parent.rmdir()
        raise
    clear(old, path, known)
    old.parent.rmdir()


def recover(path: Path, owned: Callable[[Path], Owned]) -> None:
    """Finish what a process killed in ``take_place`` left: put the old folder back if no new one came, else clear it away.

    What ``owned`` does not know stays where it is.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name)}{OLD}{'[a-z0-9_]' * 8}"):
        old, known = leftover / path.name, leftover / MARK
        with contextlib.suppress(OSError, PoseedgeError):
            if old.is_dir() and not path.exists():
                old.replace(path)
            elif old.is_dir():
                clear(old, path, kept_of(old, owned))
            elif known.is_dir():
                remove(known, {entry.name for entry in known.iterdir()})
            leftover.rmdir()


def clear(old: Path, path: Path, known: Owned) -> None:
    """Move what is kept of the folder ``old`` to ``path``, where it is not yet; remove by name, and nothing else, the rest."""
    for name in known.kept:
        if os.path.lexists(old / name) and not os.path.lexists(path / name):
            (old / name).replace(path / name)
    remove(old.replace(old.with_name(MARK)), known.replaced)  # under another name: what tells that all of it is known goes, too


def remove(folder: Path, names: Collection[str]) -> None:
    """Remove a folder and these files in it; raises ``OSError`` if it holds anything else."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def locked(folder: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Let one process at a time into the block; ``waiting`` is called once if another is there.

    The lock is on the folder itself and dies with its process: nothing is left behind, and nothing can go stale.
    """
    import fcntl  # not on Windows, where nothing needs it

    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; what is no TOML becomes a ``PoseedgeError`` with its line, as does what ``check_plain`` refuses."""
    try:
        return dict(_read_text(path, tomllib.loads))
    except ValueError as error:
        raise PoseedgeError(f"{path}: {error}") from error


def read_json(path: Path, is_not: str, error: type[PoseedgeError], hint: str) -> Any:
    """Read a JSON file; what is none, or what ``check_plain`` refuses, becomes ``error``: it is not what ``is_not`` says."""
    try:
        return _read_text(path, json.loads)
    except ValueError as found:
        raise error(f"{path}: {is_not}: {found}", hint) from found


def _read_text(path: Path, load: Callable[[str], Any]) -> Any:
    if (size := path.stat().st_size) > LARGEST_TEXT:
        raise ValueError(f"{size / 1e6:.0f} MB, where {LARGEST_TEXT / 1e6:.0f} are the most")
    try:
        content = load(path.read_text(encoding="utf-8-sig"))  # editors on Windows begin files with a mark
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    check_plain(content)
    return content


def check_plain(content: Any) -> None:
    """Raise ``ValueError`` for what no file of ours holds: deep nesting, an integer beyond 64 bits, NaN and infinity."""
    pending = [("", content, 0)]
    while pending:
        place, value, depth = pending.pop()
        if depth > DEEPEST:
            raise ValueError(f"{place[:60]}...: nested more than {DEEPEST} deep")
        if isinstance(value, dict):
            pending += [(f"{place}{key}.", inner, depth + 1) for key, inner in value.items()]
        elif isinstance(value, list):
            pending += [(f"{place}{at}.", inner, depth + 1) for at, inner in enumerate(value)]
        elif isinstance(value, int) and value.bit_length() > 63:
            raise ValueError(f"{place.rstrip('.')}: a number of {value.bit_length()} bits")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{place.rstrip('.')}: {value} is no finite number")
