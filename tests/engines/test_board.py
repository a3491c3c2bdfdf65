"""An engine fits the board that it was built on; a container hides which that is, and unknown is not another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from poseedge.backends.registry import load
from poseedge.device.runner import machine
from poseedge.errors import ArtefactError
from tests.doubles.binding import Fake
from tests.doubles.fixtures import Install
from tests.doubles.gpu import Gpu
from tests.support.engines import build

ORIN = "NVIDIA Jetson Orin Nano Developer Kit"
GIB = 1 << 30
Call = Callable[[str | None], None]


@pytest.fixture
def call_the_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Make the board's file say a name; None: Docker masks /sys/firmware, where it lies."""
    monkeypatch.setattr(machine, "BOARD_FILES", (tmp_path / "model",))
    monkeypatch.delenv(machine.BOARD_VARIABLE, raising=False)

    def call(name: str | None) -> None:
        (tmp_path / "model").unlink(missing_ok=True)
        if name is not None:
            (tmp_path / "model").write_text(f"{name}\0")

    return call


@pytest.mark.parametrize(("then", "now"), [(ORIN, None), (None, ORIN), (None, None), (ORIN, ORIN)])
def test_an_engine_is_loaded_and_kept_where_the_board_is_the_same_or_unknown(
    some_device: Fake, graph: Path, call_the_board: Call, then: str | None, now: str | None
) -> None:
    call_the_board(then)
    engine = build(graph).path
    call_the_board(now)
    load(engine)
    assert not build(graph).built


def test_an_engine_of_another_board_is_refused_and_built_again(some_device: Fake, graph: Path, call_the_board: Call) -> None:
    call_the_board("NVIDIA Jetson AGX Orin Developer Kit")
    engine = build(graph).path
    call_the_board(ORIN)
    with pytest.raises(ArtefactError, match=f"built for NVIDIA Jetson AGX Orin Developer Kit, this device is {ORIN}"):
        load(engine)
    assert "differs in board" in build(graph).said[0]


def test_orin_modules_differ_where_their_board_is_unknown(install_tensorrt: Install, graph: Path, call_the_board: Call) -> None:
    call_the_board(None)
    install_tensorrt(gpu=Gpu(memory=61 * GIB, sms=16))
    engine = build(graph).path
    install_tensorrt(gpu=Gpu(memory=61 * GIB, sms=8))
    with pytest.raises(ArtefactError, match="built for one of 16 multiprocessors, this device is one of 8 multiprocessors"):
        load(engine)
    install_tensorrt(gpu=Gpu(memory=15 * GIB, sms=16))
    with pytest.raises(ArtefactError, match="built for one with 64 GiB of memory, this device is one with 16 GiB of memory"):
        load(engine)


@pytest.mark.parametrize("library", ["pycuda", "cuda-python"])
def test_both_libraries_tell_the_same_device(install_tensorrt: Install, graph: Path, library: str) -> None:
    install_tensorrt(gpu=Gpu(memory=int(7.4 * GIB), sms=4), library=library)
    identity = build(graph).facts.identity
    assert (identity["sms"], identity["memory_gib"]) == (4, 8)


def test_the_board_is_known_in_a_container_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "BOARD_FILES", (tmp_path / "masked", tmp_path / "nv_jetson_model"))
    monkeypatch.delenv(machine.BOARD_VARIABLE, raising=False)
    assert machine.board() is None
    monkeypatch.setenv(machine.BOARD_VARIABLE, "as exported by jetson-stats")
    assert machine.board() == "as exported by jetson-stats"
    (tmp_path / "nv_jetson_model").write_text(f"{ORIN}\0")
    assert machine.board() == ORIN


def test_the_file_that_jetson_containers_mounts_is_read_after_the_boards_own() -> None:
    assert list(map(str, machine.BOARD_FILES)) == ["/proc/device-tree/model", "/tmp/nv_jetson_model"]


@pytest.mark.parametrize(("total_gib", "sold"), [(1.9, 2), (3.87, 4), (7.4, 8), (7.99, 8), (8, 8), (15.3, 16), (61.3, 64)])
def test_what_the_system_keeps_of_the_memory_makes_no_other_module(total_gib: float, sold: int) -> None:
    assert machine.module_memory_gib(int(total_gib * GIB)) == sold
