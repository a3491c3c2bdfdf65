"""Files and folders appear whole or not at all."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from poseedge.files import atomic_folder, atomic_write, locked, sha256_of


class Broken(Exception):
    """What a test breaks off with."""


def break_off_writing(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise Broken


def break_off_filling(path: Path) -> None:
    with atomic_folder(path) as temporary:
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
    with atomic_folder(tmp_path / "new" / "b") as temporary:
        (temporary / "a.txt").write_text("whole")
    assert [path.name for path in (tmp_path / "new" / "b").iterdir()] == ["a.txt"]


def test_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "old.txt").write_text("old")
    with atomic_folder(tmp_path / "b") as temporary:
        (temporary / "new.txt").write_text("new")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["b", "b/new.txt"]


def test_folder_is_left_as_it_was_when_filling_fails(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "old.txt").write_text("old")
    with pytest.raises(Broken):
        break_off_filling(tmp_path / "b")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["b", "b/old.txt"]


def test_folder_may_be_entered_by_everyone(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "b"):
        pass
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
