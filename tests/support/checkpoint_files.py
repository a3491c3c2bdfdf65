"""A small checkpoint, as files that a test bends."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from poseedge.errors import CheckpointError
from poseedge.models import load_checkpoint
from tests.support import golden

NAME = "nanohtnet-small"
State = dict[str, Tensor]


def state() -> State:
    return dict(golden.network(NAME).state_dict())


def content_of_small() -> bytes:
    stream = io.BytesIO()
    torch.save(state(), stream)
    return stream.getvalue()


CONTENT = content_of_small()


def saved(folder: Path, content: Any) -> Path:
    path = folder / "net.pth"
    torch.save(content, path)
    return path


def assert_is_the_network(path: Path) -> None:
    network = load_checkpoint(path)
    assert (network.name, network.config) == ("nanohtnet", golden.case(NAME)["config"])
    assert all(torch.equal(value, state()[key]) for key, value in network.state_dict().items())


def assert_misfit(path: Path, *reasons: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = caught.value.message
    assert message.startswith(str(path))
    assert all(reason in message for reason in reasons), message
