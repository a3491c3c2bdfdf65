"""npz files are read whatever numpy and pickle protocol wrote them, and nothing that they name is ever run."""

from __future__ import annotations

import _codecs
import contextlib
import io
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poseedge.data.npz import read_npz
from poseedge.errors import DataError
from tests.support.folders import as_object

CONTENT = {
    "S1": {
        "Walking 1": [np.arange(12, dtype=np.float32).reshape(2, 2, 3), np.asfortranarray(np.ones((3, 2), ">f4"))],
        "Eating": np.arange(20.0).reshape(4, 5)[:, ::2],
    },
    "metadata": (17, "h36m", 0.5, None, True, np.float32(2.5), b"\xff\x00"),
}


def pickled_npz(path: Path, pickled: bytes) -> Path:
    """Write an npz with one pickled zero-dimensional object member called ``positions_3d``."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions_3d.npy", header.getvalue() + pickled)
    return path


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_array_equal(found, expected)


class Running:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_dictionaries_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    path = pickled_npz(tmp_path / "data.npz", pickle.dumps(as_object(CONTENT), protocol))
    assert_same(read_npz(path)["positions_3d"], CONTENT)


@pytest.mark.parametrize(("ours", "theirs"), [(b"numpy.core", b"numpy._core"), (b"numpy._core", b"numpy.core")])
def test_names_of_numpy_1_and_2_are_known(tmp_path: Path, ours: bytes, theirs: bytes) -> None:
    pickled = pickle.dumps(as_object(CONTENT), 2).replace(ours + b".", theirs + b".")
    assert_same(read_npz(pickled_npz(tmp_path / "data.npz", pickled))["positions_3d"], CONTENT)


def test_files_of_numpys_own_writer_are_read(tmp_path: Path) -> None:
    for number, save in enumerate((np.savez, np.savez_compressed)):
        save(tmp_path / f"{number}.npz", positions_3d=as_object(CONTENT), numbers=np.eye(3), word=np.array("h36m"))
        found = read_npz(tmp_path / f"{number}.npz")
        assert list(found) == ["positions_3d", "numbers", "word"]
        assert_same(found["positions_3d"], CONTENT)
        np.testing.assert_array_equal(found["numbers"], np.eye(3))
        assert found["word"] == "h36m"


def test_strings_of_python_2_are_read(tmp_path: Path) -> None:
    pickled = pickle.dumps(as_object({"positions": 1.5}), 2).replace(b"X\x09\x00\x00\x00positions", b"U\x09positions")
    assert b"U\x09positions" in pickled
    assert read_npz(pickled_npz(tmp_path / "data.npz", pickled)) == {"positions_3d": {"positions": 1.5}}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(("function", "command"), [(os.system, "touch '{}'"), (eval, "open('{}', 'w').close()")])
def test_a_pickle_that_names_a_function_is_refused_and_nothing_runs(
    tmp_path: Path, protocol: int, function: Any, command: str
) -> None:
    trace = tmp_path / "trace"
    pickled = pickle.dumps(as_object({"S1": Running(function, command.format(trace))}), protocol, fix_imports=False)
    path = pickled_npz(tmp_path / "data.npz", pickled)
    with pytest.raises(DataError, match=rf"refused.*it names {function.__module__}\.{function.__name__}") as caught:
        read_npz(path)
    assert caught.value.message.startswith(str(path))
    assert caught.value.hint
    assert not trace.exists()
    np.load(path, allow_pickle=True)["positions_3d"]
    assert trace.exists()  # what the plain reader does


def test_a_name_reached_through_a_dot_is_refused(tmp_path: Path) -> None:
    pickled = b"\x80\x04\x8c\x05numpy\x8c\x0ef2py.os.system\x93."
    with pytest.raises(DataError, match=r"refused.*it names numpy\.f2py\.os\.system"):
        read_npz(pickled_npz(tmp_path / "data.npz", pickled))


def test_a_pickle_may_encode_as_latin1_only(tmp_path: Path) -> None:
    attack = Running(_codecs.encode, "x", "bz2_codec")
    with pytest.raises(DataError, match=r"refused.*encodes as bz2_codec"):
        read_npz(pickled_npz(tmp_path / "data.npz", pickle.dumps(as_object(attack), 2)))


def test_a_pickle_that_is_no_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a pickled array, found dict"):
        read_npz(pickled_npz(tmp_path / "data.npz", pickle.dumps({"S1": {}})))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data_3d_h36m\.npz: no such file"):
        read_npz(tmp_path / "data_3d_h36m.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"hello" * 100])
def test_other_files_are_no_npz(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable npz file"):
        read_npz(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_no_npz(tmp_path: Path, share: float) -> None:
    whole, path = tmp_path / "whole.npz", tmp_path / "cut.npz"
    np.savez_compressed(whole, positions_3d=as_object(CONTENT))
    content = whole.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"cut\.npz: not a readable npz file"):
        read_npz(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_a_truncated_pickle_is_no_npz(tmp_path: Path, share: float) -> None:
    pickled = pickle.dumps(as_object(CONTENT), 4)
    with pytest.raises(DataError, match="not a readable npz file"):
        read_npz(pickled_npz(tmp_path / "data.npz", pickled[: int(share * len(pickled))]))


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999), byte=st.integers(0, 255))
def test_a_damaged_byte_raises_nothing_but_a_data_error(tmp_path: Path, share: float, byte: int) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, positions_3d=as_object(CONTENT))
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] = byte
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        read_npz(path)


def damaged(content: bytes, seed: int) -> bytes:
    """Return content with up to three places in which bytes were replaced, taken out or put in."""
    random = np.random.default_rng(seed)
    for _ in range(random.integers(1, 4)):
        at, taken = int(random.integers(len(content))), int(random.choice([0, 1, 1, 2, 5, 40]))
        content = content[:at] + random.bytes(int(random.integers(0, 4))) + content[at + taken :]
    return content


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_no_damage_to_a_pickle_raises_anything_but_a_data_error_or_crashes(tmp_path: Path, protocol: int) -> None:
    """Within a zip whose checksum is right: numpy's own reader of these bytes ends the process within some hundred."""
    pickled = pickle.dumps(as_object(CONTENT), protocol)
    for seed in range(400):
        with contextlib.suppress(DataError):
            read_npz(pickled_npz(tmp_path / "data.npz", damaged(pickled, seed)))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 4)).transpose(1, 0, 2),
        np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        np.array([True, False]),
        np.array(["left", "right"]),
        np.array([b"a", b"bc"]),
        np.array([1 + 2j], np.complex64),
        np.zeros((0, 17, 2), np.float16),
        np.array(3),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_arrays_of_every_plain_type_and_order_are_read(tmp_path: Path, array: Any, protocol: int) -> None:
    found = read_npz(pickled_npz(tmp_path / "data.npz", pickle.dumps(as_object([array]), protocol)))["positions_3d"][0]
    np.testing.assert_array_equal(found, array)
    assert (found.dtype, found.flags.writeable) == (array.dtype, True)


def test_arrays_of_lists_and_an_array_that_stands_twice_are_read(tmp_path: Path) -> None:
    shared = np.arange(3.0)
    ragged = np.empty((2, 2), object, order="F")
    ragged[0, 0], ragged[0, 1], ragged[1, 0], ragged[1, 1] = [], shared, [shared], (1, shared)
    found = read_npz(pickled_npz(tmp_path / "data.npz", pickle.dumps(as_object(ragged), 4)))["positions_3d"]
    assert (found[0, 0], found[1, 1][0], found.shape) == ([], 1, (2, 2))
    assert found[0, 1] is found[1, 0][0] is found[1, 1][1]
    np.testing.assert_array_equal(found[0, 1], shared)


@pytest.mark.parametrize("kind", ["M8[ns]", "f4,i4", "V3"])
def test_arrays_of_other_types_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match=r"refused.*it holds an array of"):
        read_npz(pickled_npz(tmp_path / "data.npz", pickle.dumps(as_object([np.zeros(2, kind)]), 4)))


def test_a_pickle_may_not_change_what_it_names(tmp_path: Path) -> None:
    pickled = b"\x80\x02c_codecs\nencode\nN}X\x0c\x00\x00\x00__defaults__X\x01\x00\x00\x00as\x86b."
    with pytest.raises(DataError, match=r"refused.*it changes a function"):
        read_npz(pickled_npz(tmp_path / "data.npz", pickled))


def test_a_pickle_cannot_ask_for_a_table_of_gigabytes(tmp_path: Path) -> None:
    whole = pickle.dumps(as_object({}), 2)
    pickled = whole[:2] + b"]r\xff\xff\xff\x7f0" + whole[2:]  # a list, kept as number 2**31 - 1, and dropped
    tracemalloc.start()
    assert read_npz(pickled_npz(tmp_path / "data.npz", pickled))["positions_3d"] == {}
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("begins", [b"", b"\x93NUMPY\x01\x00"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, begins: bytes) -> None:
    bomb = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("positions_3d.npy", "w") as stream,
    ):
        stream.write(begins)
        for _ in range(100):
            stream.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"MB that unpack to 105 MB, which no motion does"):
        read_npz(bomb)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_still_motion_that_is_packed_well_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "still.npz", still=np.zeros((20_000, 17, 3)))
    assert (tmp_path / "still.npz").stat().st_size * 100 < 20_000 * 17 * 3 * 8
    assert read_npz(tmp_path / "still.npz")["still"].shape == (20_000, 17, 3)


@pytest.mark.parametrize("frames", [10**12, 3])
def test_an_array_that_is_not_as_long_as_it_states_is_refused(tmp_path: Path, frames: int) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (frames, 17, 3)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("positions_3d.npy", header.getvalue() + bytes(1000))
    with pytest.raises(DataError, match=rf"positions_3d\.npy states {frames * 17 * 3 * 8} bytes and holds 1000"):
        read_npz(tmp_path / "a.npz")
