"""Checkpoints load strictly whoever wrote them, run no code, and every misfit is listed."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from poseedge.errors import CheckpointError, PoseedgeError
from poseedge.models import load_checkpoint
from poseedge.models.checkpoints import read_checkpoint, recognise, save_checkpoint
from tests.support import golden

NAME = "nanohtnet-small"
State = dict[str, Tensor]


def state() -> State:
    return dict(golden.network(NAME).state_dict())


def saved(folder: Path, content: Any) -> Path:
    path = folder / "net.pth"
    torch.save(content, path)
    return path


def assert_is_the_network(path: Path) -> None:
    network = load_checkpoint(path)
    assert (network.name, network.config) == ("nanohtnet", golden.case(NAME)["config"])
    assert all(torch.equal(value, state()[key]) for key, value in network.state_dict().items())


# What loads


def test_our_own_checkpoint_loads_as_it_was_saved(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "net.pth", golden.network(NAME), {"step": 3})
    assert_is_the_network(tmp_path / "net.pth")
    assert read_checkpoint(tmp_path / "net.pth")["record"] == {"step": 3}


def test_half_precision_on_disk_loads_as_float32(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "net.pth", golden.network(NAME), {}, half=True)
    loaded = load_checkpoint(tmp_path / "net.pth").state_dict()
    assert all(torch.equal(loaded[key], value.half().float()) for key, value in state().items())


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    for half in (False, True):
        save_checkpoint(tmp_path / f"{half}.pth", golden.network(NAME), {}, half)
    assert (tmp_path / "True.pth").stat().st_size < 0.7 * (tmp_path / "False.pth").stat().st_size


def test_bare_state_dict_is_recognised(tmp_path: Path) -> None:
    assert_is_the_network(saved(tmp_path, state()))


def test_ordered_state_dict_is_recognised(tmp_path: Path) -> None:
    assert_is_the_network(saved(tmp_path, OrderedDict(state())))


def test_prefix_of_data_parallel_is_taken_off(tmp_path: Path) -> None:
    assert_is_the_network(saved(tmp_path, {f"module.{key}": value for key, value in state().items()}))


@pytest.mark.parametrize("wrapper", ["state_dict", "model_pos", "model_state_dict", "model"])
def test_wrapped_state_dict_is_found(tmp_path: Path, wrapper: str) -> None:
    assert_is_the_network(saved(tmp_path, {"epoch": 3, "lr": 1e-3, wrapper: state()}))


@pytest.mark.parametrize("numpy", [b"numpy._core", b"numpy.core"])  # 2.x, 1.x
def test_random_state_and_metrics_beside_the_weights_are_passed_over(tmp_path: Path, numpy: bytes) -> None:
    content = {
        "epoch": 3,
        "lr": 1e-3,
        "random_state": np.random.RandomState(0),
        "min_loss": np.float64(41.0),
        "model_pos": {f"module.{key}": value for key, value in state().items()},
    }
    torch.save(content, tmp_path / "new.pth", _use_new_zipfile_serialization=False)
    written = (tmp_path / "new.pth").read_bytes()
    assert b"numpy._core" in written
    (tmp_path / "net.pth").write_bytes(written.replace(b"numpy._core", numpy))
    assert_is_the_network(tmp_path / "net.pth")


def test_legacy_file_format_is_read(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    assert_is_the_network(tmp_path / "net.pth")


def test_network_is_in_evaluation_mode(tmp_path: Path) -> None:
    assert not load_checkpoint(saved(tmp_path, state())).training


def test_network_may_be_asked_for_by_name(tmp_path: Path) -> None:
    assert load_checkpoint(saved(tmp_path, state()), name="nanohtnet").name == "nanohtnet"


# What does not fit


def assert_misfit(path: Path, *reasons: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = caught.value.message
    assert message.startswith(str(path))
    assert all(reason in message for reason in reasons), message


def test_missing_key_is_listed(tmp_path: Path) -> None:
    assert_misfit(saved(tmp_path, {key: value for key, value in state().items() if key != "fc.bias"}), "missing fc.bias")


def test_missing_key_that_tells_the_configuration_is_named(tmp_path: Path) -> None:
    content = {key: value for key, value in state().items() if key != "fcn_tem.weight"}
    assert_misfit(saved(tmp_path, content), "looks like nanohtnet, but has no fcn_tem.weight")


def test_key_that_is_left_over_is_listed(tmp_path: Path) -> None:
    assert_misfit(saved(tmp_path, state() | {"extra.weight": torch.zeros(2)}), "left over extra.weight")


def test_wrong_shape_is_listed_with_both_shapes(tmp_path: Path) -> None:
    assert_misfit(saved(tmp_path, state() | {"fc.bias": torch.zeros(4)}), "fc.bias is (4,), expected (3,)")


def test_many_misfits_are_counted(tmp_path: Path) -> None:
    extra = {f"extra.{number}": torch.zeros(2) for number in range(10)}
    assert_misfit(saved(tmp_path, state() | extra), "left over extra.3; and 6 more")


def test_checkpoint_of_ours_is_held_to_its_own_configuration(tmp_path: Path) -> None:
    content = {"name": "nanohtnet", "config": golden.case("nanohtnet")["config"], "state_dict": state()}
    assert_misfit(saved(tmp_path, content), "does not fit nanohtnet", "missing tem_Transformer.blocks.1")


def test_another_network_than_asked_for_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds nanohtnet, not mixste") as caught:
        load_checkpoint(saved(tmp_path, state()), name="mixste")
    assert "--model nanohtnet" in caught.value.hint


def test_foreign_keys_are_told_with_the_networks_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no known network has these keys: conv1.weight, fc.bias") as caught:
        load_checkpoint(saved(tmp_path, {"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(10)}))
    assert "nanohtnet" in caught.value.hint


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"state_dict": {}}, {3: torch.zeros(2)}, {("a", 1): torch.zeros(2)}])
def test_dictionary_without_named_tensors_is_told(tmp_path: Path, content: dict[Any, Any]) -> None:
    assert_misfit(saved(tmp_path, content), "holds no tensors")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), 7])
def test_other_content_than_a_dictionary_is_told(tmp_path: Path, content: Any) -> None:
    assert_misfit(saved(tmp_path, content), f"expected a state dict, found {type(content).__name__}")


@pytest.mark.parametrize("name", golden.CASES)
def test_state_dict_that_lacks_any_one_key_never_breaks_recognition(name: str) -> None:
    shapes = golden.shapes(name)
    for key in shapes:
        try:
            recognise({other: shape for other, shape in shapes.items() if other != key}, Path("net.pth"))
        except CheckpointError:
            continue


@pytest.mark.parametrize("name", golden.CASES)
def test_state_dict_of_flat_tensors_never_breaks_recognition(name: str) -> None:
    shapes = golden.shapes(name)
    for key in shapes:
        try:
            recognise({**shapes, key: ()}, Path("net.pth"))
        except CheckpointError:
            continue


# What is not read


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


def content_of_small() -> bytes:
    stream = io.BytesIO()
    torch.save(state(), stream)
    return stream.getvalue()


CONTENT = content_of_small()


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


@pytest.mark.parametrize("record", records(CONTENT))
def test_one_flipped_bit_in_any_record_is_refused(tmp_path: Path, record: str) -> None:
    damaged = bytearray(CONTENT)
    damaged[records(CONTENT)[record]] ^= 1
    (tmp_path / "net.pth").write_bytes(damaged)
    assert_misfit(tmp_path / "net.pth", f"damaged, {record} does not match its checksum")


def test_checkpoint_that_was_written_without_checksums_is_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(tmp_path, state())
    finally:
        torch.serialization.set_crc32_options(True)
    assert_is_the_network(path)


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


def test_checkpoint_is_left_as_it_was_when_saving_fails(tmp_path: Path) -> None:
    path = saved(tmp_path, state())
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_checkpoint(path, golden.network(NAME), {"record": lambda: None})
    assert_is_the_network(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.pth"]
