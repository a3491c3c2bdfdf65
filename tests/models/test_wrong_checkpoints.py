"""A wrong checkpoint gives one clear error, whichever network it is of."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from poseedge.errors import CheckpointError, PoseedgeError
from poseedge.models import create, load_checkpoint
from poseedge.models.registry import network_class
from tests.support.networks import LIFTING, small


@cache
def state(name: str) -> dict[str, torch.Tensor]:
    return dict(small(name).state_dict())


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


@pytest.mark.slow
@pytest.mark.parametrize("name", LIFTING)
def test_another_network_is_told_with_its_name(name: str, tmp_path: Path) -> None:
    asked = "htnet" if name == "graphmlp" else "graphmlp"
    held = next(other for other in LIFTING if network_class(other).infer_config(shapes(name)))  # variants can have the same keys
    error = refusal(tmp_path, asked, state(name))
    assert error.message.endswith(f"holds {held}, not {asked}")
    assert error.hint == f"use --model {held}, or another checkpoint"


@pytest.mark.slow
@pytest.mark.parametrize("name", LIFTING)
def test_tensor_of_another_width_is_told_with_both_shapes(name: str, tmp_path: Path) -> None:
    matrices = [key for key, value in state(name).items() if key.endswith("weight") and value.dim() > 1]
    key = matrices[len(matrices) // 2]
    rows, columns, *taps = state(name)[key].shape
    error = refusal(tmp_path, name, state(name) | {key: torch.zeros(rows, columns + 8, *taps)})
    assert f"does not fit {name}" in error.message
    assert error.message.endswith(f"{key} is {(rows, columns + 8, *taps)}, expected {(rows, columns, *taps)}")


@pytest.mark.slow
@pytest.mark.parametrize("name", LIFTING)
def test_configuration_of_another_width_is_told(name: str, tmp_path: Path) -> None:
    error = refusal(tmp_path, name, {"name": name, "config": widened(name), "state_dict": state(name)})
    assert f"does not fit {name}" in error.message
    assert error.message.count(", expected ") == 4  # and the rest is counted
    assert error.message.endswith(" more")


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state(name).items()}


def widened(name: str) -> dict[str, Any]:
    """Return the configuration with one setting doubled, one that changes many shapes and no key."""
    config = network_class(name).infer_config(shapes(name)) or {}
    for key in [key for key, value in config.items() if type(value) is int]:
        wider = config | {key: 2 * config[key]}
        try:
            other = {name: tuple(value.shape) for name, value in create(name, **wider).state_dict().items()}
        except PoseedgeError:
            continue
        if other.keys() == state(name).keys() and sum(other[key] != shape for key, shape in shapes(name).items()) > 4:
            return wider
    raise AssertionError(f"no setting of {name} is a width")


@pytest.mark.parametrize("name", LIFTING)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", LIFTING)
def test_pickled_code_beside_the_weights_is_refused(name: str, tmp_path: Path) -> None:
    error = refusal(tmp_path, name, {"state_dict": state(name), "optimizer": Running()})
    assert "refused, it holds more than tensors and plain values: " in error.message
