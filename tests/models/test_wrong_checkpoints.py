"""A wrong checkpoint gives one clear error, whichever network it is of."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from poseedge.errors import CheckpointError
from poseedge.models import create, load_checkpoint, names
from poseedge.models.network import LiftingNetwork
from poseedge.models.registry import network_class
from tests.support import golden

CASES = {
    **{name: f"{name}-small" for name in ("nanohtnet", "htnet", "graphmlp")},
    **{name: f"{name}-27" for name in ("strided_transformer", "mhformer", "tpc_mhformer")},
    **{name: f"{name}-f27" for name in ("mixste", "hot_mixste", "tpc_mixste", "motionbert", "hot_motionbert")},
}
ALL = [*CASES, "nehsnet"]
HELD_AS = {"tpc_mhformer": "mhformer", "tpc_mixste": "mixste"}  # the same keys


@cache
def state(name: str) -> dict[str, torch.Tensor]:
    network = golden.network(CASES[name]) if name in CASES else create(name, depth=1, d_model=24, mlp_dim=32)
    return dict(network.state_dict())


def refusal(folder: Path, name: str, content: Any) -> CheckpointError:
    """Return the error that loading ``content`` as ``name`` gives."""
    torch.save(content, folder / "net.pth")
    return refusal_of(folder / "net.pth", name)


def refusal_of(path: Path, name: str) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, name)
    error = caught.value
    assert error.message.startswith(f"{path}: ")
    assert "\n" not in error.message
    assert error.hint
    return error


def test_all_lifting_networks_are_tried() -> None:
    assert sorted(ALL) == [name for name in names() if issubclass(network_class(name), LiftingNetwork)]


@pytest.mark.parametrize("name", ALL)
def test_another_network_is_told_with_its_name(name: str, tmp_path: Path) -> None:
    asked = "htnet" if name == "graphmlp" else "graphmlp"
    held = HELD_AS.get(name, name)
    error = refusal(tmp_path, asked, state(name))
    assert error.message.endswith(f"holds {held}, not {asked}")
    assert error.hint == f"use --model {held}, or another checkpoint"


@pytest.mark.parametrize("name", ALL)
def test_tensor_of_another_width_is_told_with_both_shapes(name: str, tmp_path: Path) -> None:
    matrices = [key for key, value in state(name).items() if key.endswith("weight") and value.dim() == 2]
    key = matrices[len(matrices) // 2]
    rows, columns = state(name)[key].shape
    error = refusal(tmp_path, name, state(name) | {key: torch.zeros(rows, columns + 8)})
    assert f"does not fit {name}" in error.message
    assert error.message.endswith(f"{key} is {(rows, columns + 8)}, expected {(rows, columns)}")


@pytest.mark.parametrize("name", ALL)
def test_configuration_of_another_width_is_told(name: str, tmp_path: Path) -> None:
    network = network_class(name)
    config = network.infer_config({key: tuple(value.shape) for key, value in state(name).items()})
    assert config is not None
    width = {"motionbert": "dim_feat", "hot_motionbert": "dim_feat", "nehsnet": "d_model"}.get(name, "channel")
    wider = {"name": name, "config": config | {width: 2 * config[width]}, "state_dict": state(name)}
    error = refusal(tmp_path, name, wider)
    assert f"does not fit {name}" in error.message
    assert error.message.count(", expected ") == 4  # and the rest is counted
    assert error.message.endswith(" more")


@pytest.mark.parametrize("name", ALL)
def test_truncated_file_is_told(name: str, tmp_path: Path) -> None:
    torch.save(state(name), tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "net.pth").write_bytes(whole[: len(whole) // 2])
    error = refusal_of(tmp_path / "net.pth", name)
    assert "not a readable checkpoint" in error.message
    assert error.hint == "it may be truncated; get it again"


class Running:
    """Pickles as a call."""

    def __reduce__(self) -> Any:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("name", ALL)
def test_pickled_code_beside_the_weights_is_refused(name: str, tmp_path: Path) -> None:
    error = refusal(tmp_path, name, {"state_dict": state(name), "optimizer": Running()})
    assert "refused, it holds more than tensors and plain values: " in error.message
