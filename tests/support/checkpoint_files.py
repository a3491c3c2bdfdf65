"""A small checkpoint, as files that a test bends."""

from __future__ import annotations

import io
import json
import struct
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
    network, wanted = load_checkpoint(path), state()
    assert (network.name, network.config) == ("nanohtnet", golden.case(NAME)["config"])
    assert all(torch.equal(value, wanted[key]) for key, value in network.state_dict().items())


def assert_misfit(path: Path, *reasons: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = caught.value.message
    assert message.startswith(str(path))
    assert all(reason in message for reason in reasons), message


NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64"}


def safetensors(path: Path, tensors: State, **changes: Any) -> Path:
    """Write a file as the format's README describes it; ``changes`` are laid over the header's entries."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, value in tensors.items():
        content = bytes(value.contiguous().view(torch.uint8).numpy()) if value.dim() else struct.pack("<q", int(value))
        header[name] = {
            "dtype": NAMES[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    for name, change in changes.items():
        header[name] = header[name] | change
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path
