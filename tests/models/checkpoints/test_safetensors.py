"""The safetensors format is read as its README defines it, and a header that does not fit its bytes is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poseedge.backends.registry import load
from poseedge.errors import CheckpointError
from poseedge.models.checkpoints import read_checkpoint
from tests.support.checkpoint_files import NAMES, assert_is_the_network, assert_misfit, safetensors, state


@pytest.mark.slow
@pytest.mark.parametrize("name", ["net.safetensors", "net.pth", "net"])
def test_network_is_read_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    path = safetensors(tmp_path / name, state())
    assert_is_the_network(path)
    assert load(path).spec.model == "nanohtnet"


def test_library_s_own_file_is_read(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    library.save_file({key: value.contiguous() for key, value in state().items()}, tmp_path / "net.safetensors")
    assert_is_the_network(tmp_path / "net.safetensors")


@pytest.mark.parametrize("dtype", NAMES)
def test_types_are_read_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    value = torch.randn(3, 5).mul(100).to(dtype)
    found = read_checkpoint(safetensors(tmp_path / "net", {"odd": torch.zeros(1, dtype=torch.float16), "value": value}))["value"]
    assert torch.equal(found, value)
    assert found.dtype == dtype


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": [4]}, "fc.bias has 12 bytes for [4] of F32"),
        ({"dtype": "F16"}, "fc.bias has 12 bytes for [3] of F16"),
        ({"dtype": "F4"}, "fc.bias has the unknown type 'F4'"),
        ({"dtype": 4}, "fc.bias: dtype: "),
        ({"shape": [-1]}, "fc.bias: shape.0: "),
        ({"data_offsets": [0, 12]}, "has data_offsets"),
        ({"data_offsets": [10**15, 10**15 + 12]}, "has data_offsets"),
        ({"data_offsets": [3]}, "has data_offsets [3]"),
    ],
)
def test_header_that_does_not_fit_is_told(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    assert_misfit(safetensors(tmp_path / "net", state(), **{"fc.bias": change}), said)


def test_bytes_beyond_the_header_s_are_told(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "net", state())
    path.write_bytes(path.read_bytes() + b"x")
    assert_misfit(path, "bytes of tensors, its header speaks of")


def test_truncated_file_is_told(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "net", state())
    path.write_bytes(path.read_bytes()[:-1])
    assert_misfit(path, "bytes of tensors, its header speaks of")


def test_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    entry = '"w": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}'
    text = f"{{{entry}, {entry}}}".encode()
    (tmp_path / "net").write_bytes(struct.pack("<Q", len(text)) + text)
    assert_misfit(tmp_path / "net", "a name stands twice")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 400), byte=st.integers(0, 255))
def test_damaged_header_raises_nothing_but_a_checkpoint_error(tmp_path: Path, place: int, byte: int) -> None:
    path = safetensors(tmp_path / "net", {"a": torch.ones(2, 3), "b": torch.zeros(4)})
    damaged = bytearray(path.read_bytes())
    damaged[place % len(damaged)] = byte
    path.write_bytes(damaged)
    try:
        read_checkpoint(path)
    except CheckpointError:
        return
