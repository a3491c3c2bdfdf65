"""Networks filled with the deterministic weights of a reference vector."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poseedge.arrays import AnyArray
from poseedge.models import create
from poseedge.models.network import Network
from tests.golden import weights

FOLDER = Path(__file__).parents[1] / "golden"
CASES = sorted(path.stem for path in FOLDER.glob("*.json") if "state_dict" in json.loads(path.read_text()))


def case(name: str) -> dict[str, Any]:
    """Return what ``<name>.json`` says."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return content


def arrays(name: str) -> dict[str, AnyArray]:
    """Return the arrays of ``<name>.npz``."""
    with np.load(FOLDER / f"{name}.npz") as content:
        return dict(content)


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Return the case's state-dict shapes by key."""
    return {key: tuple(shape) for key, shape in case(name)["state_dict"]}


def state_dict(facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the case's weights; an aliased key holds the tensor of the key that it points to."""
    aliases = facts.get("aliases", {})
    return {
        key: torch.from_numpy(weights.tensor(aliases.get(key, key), tuple(shape), facts["seed"]))
        for key, shape in facts["state_dict"]
    }


def network(name: str) -> Network:
    """Return the case's network with the case's weights, strictly loaded."""
    facts = case(name)
    module = create(facts["model"], **facts["config"])
    module.load_state_dict(state_dict(facts), strict=True)
    return module


def first_outputs(module: Network, submodules: Iterable[str], *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Run ``module`` and return what each of its ``submodules`` gave when it was first called."""
    outputs: dict[str, torch.Tensor] = {}

    def recorder(name: str) -> Callable[[torch.nn.Module, Any, torch.Tensor], None]:
        def record(_module: torch.nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            outputs.setdefault(name, output)

        return record

    hooks = [module.get_submodule(name).register_forward_hook(recorder(name)) for name in submodules]
    with torch.no_grad():
        module(*inputs)
    for hook in hooks:
        hook.remove()
    return outputs


def sampled(stream: torch.Tensor, stored: AnyArray) -> AnyArray:
    """Reduce ``(F, J, C)`` as large cases are stored: first, middle and last frame, every 16th channel."""
    frames = len(stream)
    if stored.shape != tuple(stream.shape):
        stream = stream[[0, frames // 2, frames - 1], :, ::16]
    return stream.numpy()
