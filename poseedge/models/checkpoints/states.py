"""The state dict inside a checkpoint: unwrapped, under the network's own names, with nothing but usable weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poseedge.errors import CheckpointError

# Under which keys published files wrap their state dict, one in another at times.
WRAPPERS = ("state_dict", "model_pos", "model_state_dict", "model", "net", "network", "model_dict", "ema_state_dict")
DEEPEST = 4  # wrappers
# What DataParallel, torch.compile and Lightning put before every name, in any order and number.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
COUNTER = "num_batches_tracked"  # of a batch norm: no weight, and only PyTorch 0.4.1 and later write it
PASSED_OVER = ("total_ops", "total_params")  # which THOP leaves in what it has counted
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def state_dict_of(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Return the state dict inside a checkpoint, float32 or float64, counters as they are.

    Raises ``CheckpointError`` that names the first weight that is none.
    """
    content = unwrapped(content)
    state: dict[str, Tensor] = {}
    written: dict[str, str] = {}  # as which key of the file
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or key.rpartition(".")[2] in PASSED_OVER:
            continue
        name = bare(key)
        if name in state:
            raise CheckpointError(f"{path}: holds {written[name]} beside {key}: one weight twice", "save one network alone")
        state[name], written[name] = usable_weight(value, key, path), key
    if not state:
        raise CheckpointError(f"{path}: holds no tensors", f"its keys are: {', '.join(map(str, list(content)[:5]))}")
    return state


def unwrapped(content: dict[str, Any]) -> dict[str, Any]:
    """Return the innermost dictionary."""
    for _ in range(DEEPEST):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), None)
        if inner is None:
            break
        content = inner
    return content


def bare(key: str) -> str:
    """Return ``key`` without the prefixes that tools add."""
    while prefix := next((prefix for prefix in PREFIXES if key.startswith(prefix)), ""):
        key = key.removeprefix(prefix)
    return key


def usable_weight(value: Tensor, key: str, path: Path) -> Tensor:
    """Return a weight as a float that computes, or a counter; raises ``CheckpointError`` for anything else."""
    if reason := fault(value, counter=key.endswith(COUNTER)):
        raise CheckpointError(f"{path}: {key} {reason}", "give the state dict of the trained network, in float")
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def fault(value: Tensor, counter: bool) -> str:
    """Return why a tensor cannot be a weight, or a batch norm's counter; empty if it can."""
    if value.is_meta:
        return "has a shape, but no values (it is on the meta device)"
    if value.layout != torch.strided:
        return f"is sparse ({value.layout})"
    if value.is_quantized or not (value.dtype in FLOATS or (counter and value.dtype == torch.int64)):
        return f"holds {value.dtype}, not floats"
    held = value.untyped_storage().nbytes() // value.element_size()
    if value.numel() > held:
        return f"claims {value.numel()} values, of which the file holds {held}"
    if not counter and not bool(torch.isfinite(value).all()):
        return "holds NaN or infinity"
    return ""
