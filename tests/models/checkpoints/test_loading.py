"""Checkpoints load strictly whoever wrote them, every misfit is listed, and what the file does not tell is said."""

from __future__ import annotations

import pickle
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from poseedge.errors import CheckpointError, PoseedgeError
from poseedge.models import create, load_checkpoint
from poseedge.models.checkpoints import read_checkpoint, recognise, save_checkpoint
from poseedge.models.registry import network_class
from tests.support import golden
from tests.support.checkpoint_files import NAME, assert_is_the_network, assert_misfit, saved, state
from tests.support.networks import LIFTING, small

# Settings that change no pose, or that others tell.
HARMLESS = {"frames", "feature_dim", "n_joints", "out_joints", "in_features", "strided"}


# What loads


@pytest.mark.slow
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


@pytest.mark.slow
def test_bare_state_dict_is_recognised(tmp_path: Path) -> None:
    assert_is_the_network(saved(tmp_path, state()))


@pytest.mark.slow
def test_ordered_state_dict_is_recognised(tmp_path: Path) -> None:
    assert_is_the_network(saved(tmp_path, OrderedDict(state())))


@pytest.mark.slow
def test_legacy_file_format_is_read(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    assert_is_the_network(tmp_path / "net.pth")


def test_network_is_in_evaluation_mode(tmp_path: Path) -> None:
    assert not load_checkpoint(saved(tmp_path, state())).training


def test_network_may_be_asked_for_by_name(tmp_path: Path) -> None:
    assert load_checkpoint(saved(tmp_path, state()), name="nanohtnet").name == "nanohtnet"


# What does not fit


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


@pytest.mark.slow
@pytest.mark.parametrize("name", golden.CASES)
def test_state_dict_that_lacks_any_one_key_never_breaks_recognition(name: str) -> None:
    shapes = golden.shapes(name)
    for key in shapes:
        try:
            recognise({other: shape for other, shape in shapes.items() if other != key}, Path("net.pth"))
        except CheckpointError:
            continue


@pytest.mark.slow
@pytest.mark.parametrize("name", golden.CASES)
def test_state_dict_of_flat_tensors_never_breaks_recognition(name: str) -> None:
    shapes = golden.shapes(name)
    for key in shapes:
        try:
            recognise({**shapes, key: ()}, Path("net.pth"))
        except CheckpointError:
            continue


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [{"layers": 10**7}, {"frames": 10**12}, {"channel": 2**70}, {"keep_frames": [1] * 10**6}, {"layers": 10_000}]
)
def test_absurd_configuration_is_refused_at_once(tmp_path: Path, config: dict[str, Any]) -> None:
    own = {"name": "nanohtnet", "config": golden.case(NAME)["config"] | config, "state_dict": state()}
    path = saved(tmp_path, own)
    started = time.process_time()
    assert_misfit(path, f"{next(iter(config))} = ", "its largest tensor axis is")
    assert time.process_time() - started < 2


@pytest.mark.parametrize("config", [{"channel": "wide"}, {"layers": -1}, {"frames": None}, {"frames": 2.5}, {"d_hid": {}}])
def test_configuration_that_cannot_be_built_is_told(tmp_path: Path, config: dict[str, Any]) -> None:
    own = {"name": "nanohtnet", "config": golden.case(NAME)["config"] | config, "state_dict": state()}
    with pytest.raises(PoseedgeError):
        load_checkpoint(saved(tmp_path, own))


# Which network, where the file does not tell


def test_weights_that_fit_two_networks_say_so_and_name_what_is_assumed(tmp_path: Path) -> None:
    path = saved(tmp_path, golden.network("tpc_mixste-f27").state_dict())
    plain = load_checkpoint(path).identity
    assert plain is not None
    assert (plain.name, plain.others, plain.assumed) == ("mixste", ("tpc_mixste",), ("num_heads",))
    assert plain.notes[0] == "mixste; fits tpc_mixste as well: --model"
    pruned = load_checkpoint(path, "tpc_mixste").identity
    assert pruned is not None
    assert (pruned.others, pruned.assumed) == ((), ("num_heads", "token_num", "layer_index"))
    assert "token_num = 7, layer_index = 3" in pruned.notes[0]


def test_settings_take_the_place_of_what_is_assumed(tmp_path: Path) -> None:
    path = saved(tmp_path, golden.network("tpc_mixste-f27").state_dict())
    network = load_checkpoint(path, "tpc_mixste", {"layer_index": 2, "token_num": 9})
    assert (network.config["layer_index"], network.config["token_num"]) == (2, 9)
    assert network.identity is not None
    assert network.identity.assumed == ("num_heads",)


def test_our_own_checkpoint_leaves_nothing_to_assume(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "net.pth", golden.network("hot_mixste-f27"), {})
    network = load_checkpoint(tmp_path / "net.pth")
    assert network.identity is not None
    assert network.identity.notes == ()
    assert network.config["layer_index"] == 2


def test_setting_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match="nanohtnet has no setting 'layer_index'") as caught:
        load_checkpoint(saved(tmp_path, state()), settings={"layer_index": 2})
    assert "keep_frames" in caught.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("name", LIFTING)
def test_what_leaves_no_trace_in_the_weights_is_named_as_assumed(name: str) -> None:
    network = small(name)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    told = network_class(name).infer_config(shapes) or {}
    for key, value in network.config.items():
        if type(value) not in (int, bool) or key in HARMLESS:
            continue
        for other in (not value,) if isinstance(value, bool) else (value + 1, 2 * value):
            try:
                changed = create(name, **(network.config | {key: other}))
            except PoseedgeError:
                continue
            same = {key: tuple(tensor.shape) for key, tensor in changed.state_dict().items()} == shapes
            assert not same or key in network.assumed, (key, other)
    assert network.assumed == tuple(key for key in network.assumed if key in network.config)
    assert all(told.get(key, value) == value for key, value in network.config.items() if key not in network.assumed)


@pytest.mark.slow
def test_checkpoint_is_left_as_it_was_when_saving_fails(tmp_path: Path) -> None:
    path = saved(tmp_path, state())
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_checkpoint(path, golden.network(NAME), {"record": lambda: None})
    assert_is_the_network(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.pth"]
