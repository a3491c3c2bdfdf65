"""Files and folders appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from poseedge.errors import DataError, PoseedgeError
from poseedge.files import Owned, atomic_folder, atomic_write, locked, read_json, read_toml, sha256_of
from tests.support.faults import strike_before_replacing


class Broken(Exception):
    """What a test breaks off with."""


def break_off_writing(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise Broken


def owns(*names: str, kept: str = "engines") -> Callable[[Path], Owned]:
    """Return what says that these files, and a folder that is kept, are the program's own."""
    return lambda _: Owned(frozenset(names), frozenset({kept}))


def listing(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a folder with ``old.txt`` and an engine."""
    (tmp_path / "b" / "engines").mkdir(parents=True)
    (tmp_path / "b" / "old.txt").write_text("old")
    (tmp_path / "b" / "engines" / "a.engine").write_text("minutes of work")
    return tmp_path / "b"


def replace(path: Path, *names: str) -> None:
    with atomic_folder(path, owns(*names)) as temporary:
        (temporary / "new.txt").write_text("new")


def break_off_filling(path: Path) -> None:
    with atomic_folder(path, owns("old.txt")) as temporary:
        (temporary / "new.txt").write_text("new")
        raise Broken


def test_file_appears_with_its_content(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"


def test_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"a\.txt") as raised, atomic_write(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")
    assert raised.value.filename == str(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_file_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        assert not (tmp_path / "a.txt").exists()


def test_file_is_left_as_it_was_when_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(Broken):
        break_off_writing(tmp_path / "a.txt")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_temporary_file_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.npz") as temporary:
        assert temporary.suffix == ".npz"


def test_file_may_be_read_by_everyone(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_folder_appears_with_its_content(tmp_path: Path) -> None:
    replace(tmp_path / "new" / "b")
    assert listing(tmp_path / "new" / "b") == ["new.txt"]


def test_folder_replaces_the_old_one_whole_but_for_what_is_kept(old: Path) -> None:
    replace(old, "old.txt", "gone.txt")
    assert listing(old.parent) == ["b", "b/engines", "b/engines/a.engine", "b/new.txt"]


def test_folder_is_left_as_it_was_when_filling_fails(old: Path) -> None:
    with pytest.raises(Broken):
        break_off_filling(old)
    assert listing(old.parent) == ["b", "b/engines", "b/engines/a.engine", "b/old.txt"]


def test_folder_is_left_as_it_was_when_the_new_one_cannot_take_its_place(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.replace

    def fails_once_moved_away(source: Path, target: Path) -> Path:
        if not old.exists() and source.parent == old.parent:
            monkeypatch.undo()
            raise Broken
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", fails_once_moved_away)
    with pytest.raises(Broken):
        replace(old, "old.txt")
    assert listing(old.parent) == ["b", "b/engines", "b/engines/a.engine", "b/old.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("place", [1, 2, 3, 4])
def test_what_a_killed_replacement_left_is_put_right_by_the_next(old: Path, place: int) -> None:
    if (child := os.fork()) == 0:
        strike_before_replacing(old.parent, signal.SIGKILL, place)  # the old away, the new there, the engines into it, clearing
        replace(old, "old.txt", "new.txt")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = listing(old.parent)
    assert len([name for name in left if name.endswith("a.engine")]) == 1, left
    replace(old, "old.txt", "new.txt")
    assert listing(old.parent) == ["b", "b/engines", "b/engines/a.engine", "b/new.txt"]


def test_what_a_killed_replacement_left_is_not_touched_where_it_holds_more(old: Path) -> None:
    left = old.parent / ".b.old.abcd_123" / "b"
    left.mkdir(parents=True)
    (left / "mine.txt").write_text("mine")
    replace(old, "old.txt")
    assert (left / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("foreign", ["mine.txt", ".git/HEAD", "old/notes"])
def test_folder_with_anything_unknown_is_not_replaced(old: Path, foreign: str) -> None:
    (old / foreign).parent.mkdir(exist_ok=True)
    (old / foreign).write_text("mine")
    before = listing(old)
    with pytest.raises(PoseedgeError, match=rf"b: holds '{foreign.split('/')[0]}', which poseedge did not write") as caught:
        replace(old, "old.txt")
    assert "--output" in caught.value.hint
    assert listing(old) == before


def test_folder_that_bears_the_name_of_a_known_file_is_not_replaced(old: Path) -> None:
    (old / "run.py").mkdir()
    (old / "run.py" / "mine.txt").write_text("mine")
    with pytest.raises(PoseedgeError, match=r"holds 'run\.py'"):
        replace(old, "old.txt", "run.py")
    assert (old / "run.py" / "mine.txt").read_text() == "mine"


def test_file_that_comes_while_the_new_folder_is_filled_survives(old: Path) -> None:
    with pytest.raises(PoseedgeError, match=r"holds 'late\.txt'"), atomic_folder(old, owns("old.txt")):
        (old / "late.txt").write_text("mine")
    assert listing(old.parent) == ["b", "b/engines", "b/engines/a.engine", "b/late.txt", "b/old.txt"]


def test_link_to_a_folder_stays_one_and_what_it_leads_to_is_replaced(old: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(old)
    replace(tmp_path / "link", "old.txt")
    assert (tmp_path / "link").is_symlink()
    assert listing(old) == ["engines", "engines/a.engine", "new.txt"]


def test_known_name_that_is_a_link_goes_without_what_it_leads_to(old: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (old / "run.py").symlink_to(tmp_path / "precious")
    replace(old, "old.txt", "run.py")
    assert (tmp_path / "precious").read_text() == "mine"
    assert "run.py" not in listing(old)


@pytest.mark.parametrize("place", [".", ".."])
def test_folder_that_one_works_in_is_not_replaced(old: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(old / "engines" if place == ".." else old)
    with pytest.raises(PoseedgeError, match="is the folder that you work in"):
        replace(Path(place), "old.txt")
    assert listing(old) == ["engines", "engines/a.engine", "old.txt"]


def test_folder_may_be_entered_by_everyone(tmp_path: Path) -> None:
    replace(tmp_path / "b")
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o755


def test_hash_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192  # two blocks
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_lock_lets_one_process_in_at_a_time_and_dies_with_it(tmp_path: Path) -> None:
    holder = "import sys\nfrom pathlib import Path\nfrom poseedge.files import locked\n"
    holder += "with locked(Path(sys.argv[1])):\n    print('in', flush=True)\n    input()"
    command = [sys.executable, "-c", holder, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with locked(tmp_path, other.kill):  # told that it has to wait, it kills the other
            assert list(tmp_path.iterdir()) == []
    assert other.returncode < 0


def test_bad_json_is_told_with_what_it_should_have_been(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json: not a cameras file: Expecting .* line 1") as caught:
        read_json(tmp_path / "a.json", "not a cameras file", DataError, "write one")
    assert caught.value.hint == "write one"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": [{"b": 1e999}]}', r"a\.0\.b: inf is no finite number"),
        ('{"a": NaN}', "a: nan is no finite number"),
        ('{"a": 9223372036854775808}', "a: a number of 64 bits"),
        ('{"a": ' + "1" * 5000 + "}", "5000 digits|a: a number of"),
        ("[" * 60 + "]" * 60, "nested more than 50 deep"),
        ("[" * 100_000 + "]" * 100_000, "nested"),
    ],
)
def test_json_that_no_program_of_ours_writes_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(PoseedgeError, match=rf"a\.json: odd: .*({reason})"):
        read_json(tmp_path / "a.json", "odd", PoseedgeError, "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = 9223372036854775808", "a: a number of 64 bits"),
        ("[a]\nb = inf", r"a\.b: inf is no finite number"),
        ("a = " + "[" * 60 + "]" * 60, "nested more than 50 deep"),
        ("a = " + "[" * 100_000, "nested|recurs"),
    ],
)
def test_toml_that_no_program_of_ours_takes_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(PoseedgeError, match=rf"a\.toml: .*({reason})"):
        read_toml(tmp_path / "a.toml")


def test_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as stream:
        stream.truncate(1 << 40)  # of no blocks
    with pytest.raises(PoseedgeError, match="MB, where 67 are the most"):
        read_json(tmp_path / "a.json", "odd", PoseedgeError, "")


# Two at once, and what killed ones leave

KILLED = """
import os, sys, time
from pathlib import Path
from poseedge.files import Owned, atomic_folder, atomic_write
path = Path(sys.argv[2])
owns = lambda _: Owned(frozenset(["new.txt"]), frozenset())
with (atomic_write(path) if sys.argv[1] == "file" else atomic_folder(path, owns)) as temporary:
    (temporary if temporary.is_file() else temporary / "new.txt").write_text("half")
    print(flush=True)
    time.sleep(60)
"""


def writing(kind: str, path: Path) -> subprocess.Popen[str]:
    """Return a process that is in the middle of writing ``path``."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, kind, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_goes_with_the_next_one_and_nothing_else_does(tmp_path: Path, kind: str) -> None:
    target = tmp_path / ("[a].npz" if kind == "file" else "[a]")
    for name in (f".{target.name}.mine", f".{target.name}.abcd_123.npz", ".b.abcd_123.poseedge-part.npz"):
        (tmp_path / name).write_text("mine")
    with writing(kind, target) as process:
        process.kill()
    assert len(listing(tmp_path)) > 3
    if kind == "file":
        with atomic_write(target) as temporary:
            temporary.write_text("whole")
    else:
        replace(target)
    found = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert sorted(found) == sorted([f".{target.name}.mine", f".{target.name}.abcd_123.npz", ".b.abcd_123.poseedge-part.npz"])


def test_second_process_that_fills_the_same_folder_is_refused_at_once(tmp_path: Path) -> None:
    with writing("folder", tmp_path / "b") as process:
        with pytest.raises(PoseedgeError, match="b: another process is writing it") as caught:
            replace(tmp_path / "b")
        assert "--output" in caught.value.hint
        process.kill()
    replace(tmp_path / "b")
    assert listing(tmp_path) == ["b", "b/new.txt"]


def test_file_that_another_process_is_writing_is_left_to_it(tmp_path: Path) -> None:
    with writing("file", tmp_path / "a.txt") as process:
        before = listing(tmp_path)
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("whole")
        assert listing(tmp_path) == [*before, "a.txt"]
        process.kill()
