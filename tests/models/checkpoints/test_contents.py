"""A file is told by its bytes, damage is noticed, and no code in it runs."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poseedge.errors import CheckpointError, PoseedgeError
from poseedge.models import load_checkpoint
from tests.support import golden
from tests.support.checkpoint_files import CONTENT, NAME, assert_is_the_network, assert_misfit, saved, state


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), 7])
def test_other_content_than_a_dictionary_is_told(tmp_path: Path, content: Any) -> None:
    assert_misfit(saved(tmp_path, content), f"expected a state dict, found {type(content).__name__}")


NOT_A_CHECKPOINT = {
    "empty": (b"", "an empty file", "again"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a pointer of Git LFS", "git lfs pull"),
    "page": (b"\n<!DOCTYPE html><html><head><title>Google Drive</title>", "a web page", "browser"),
    "gzip": (gzip.compress(b"weights"), "a gzip archive", "unpack"),
    "text": (b"these are the weights", "not a readable checkpoint", "again"),
}


@pytest.mark.parametrize("kind", NOT_A_CHECKPOINT)
def test_file_of_another_kind_is_told(tmp_path: Path, kind: str) -> None:
    content, said, hint = NOT_A_CHECKPOINT[kind]
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=said) as caught:
        load_checkpoint(tmp_path / "net.pth")
    assert hint in caught.value.hint


def test_archives_of_other_kinds_are_told(tmp_path: Path) -> None:
    module = torch.jit.script(torch.nn.Linear(2, 2))
    module.save(tmp_path / "script.pth")
    assert_misfit(tmp_path / "script.pth", "a TorchScript program")
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("net.pth", CONTENT)
    assert_misfit(tmp_path / "zip.pth", "a zip archive, but not PyTorch's")
    with tarfile.open(tmp_path / "tar.pth", "w") as tar:
        tar.add(tmp_path / "zip.pth", "net.pth")
    assert_misfit(tmp_path / "tar.pth", "a tar archive")


@pytest.mark.slow
def test_archive_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(CONTENT)) as plain, zipfile.ZipFile(tmp_path / "net.pth", "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry))
        bomb.writestr("archive/data/more", bytes(10**8))
    assert_misfit(tmp_path / "net.pth", "that unpack to")


class Running:
    """Pickles as a call."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_that_names_a_function_is_refused_and_nothing_runs(tmp_path: Path, zipped: bool) -> None:
    trace = tmp_path / "trace"
    path = tmp_path / "net.pth"
    torch.save({"state_dict": Running(f"touch {trace}")}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="refused, it holds more than tensors and plain values") as caught:
        load_checkpoint(path)
    assert caught.value.message.endswith("posix.system")
    assert "weights_only" not in caught.value.message  # no advice to run it
    assert "torch.save(model.state_dict(), path)" in caught.value.hint
    assert not trace.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_bare_pickle_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "net.pth").write_bytes(pickle.dumps(Running(f"touch {trace}")))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "net.pth")
    assert not trace.exists()


def test_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    assert_misfit(saved(tmp_path, golden.network(NAME)), "refused")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
def test_truncated_checkpoint_is_told(tmp_path: Path, share: float) -> None:
    (tmp_path / "net.pth").write_bytes(CONTENT[: int(share * len(CONTENT))])
    assert_misfit(tmp_path / "net.pth")


def records(content: bytes) -> dict[str, int]:
    """Return where the middle byte of each record of a zip archive stands."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found = {}
        for entry in archive.infolist():
            name, extra = (int.from_bytes(content[entry.header_offset + at :][:2], "little") for at in (26, 28))
            found[entry.filename] = entry.header_offset + 30 + name + extra + entry.file_size // 2
    return found


@pytest.mark.slow
@pytest.mark.parametrize("record", records(CONTENT))
def test_one_flipped_bit_in_any_record_is_refused(tmp_path: Path, record: str) -> None:
    damaged = bytearray(CONTENT)
    damaged[records(CONTENT)[record]] ^= 1
    (tmp_path / "net.pth").write_bytes(damaged)
    assert_misfit(tmp_path / "net.pth", f"damaged, {record} does not match its checksum")


@pytest.mark.slow
def test_checkpoint_that_was_written_without_checksums_is_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(tmp_path, state())
    finally:
        torch.serialization.set_crc32_options(True)
    assert_is_the_network(path)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 6000), byte=st.integers(0, 255))
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_byte_raises_nothing_but_a_checkpoint_error(tmp_path: Path, place: int, byte: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[place] = byte
    (tmp_path / "net.pth").write_bytes(damaged)
    try:
        load_checkpoint(tmp_path / "net.pth")
    except PoseedgeError:
        return


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60))
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_other_files_raise_nothing_but_a_checkpoint_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "net.pth")


@pytest.mark.parametrize("name", ["none.pth", ""])
def test_missing_file_and_folder_are_no_checkpoint(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(tmp_path / name)
