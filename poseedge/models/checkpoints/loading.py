"""Which network a checkpoint is: as it says itself, or told by its keys and shapes; and the network with its weights."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poseedge.errors import CheckpointError, PoseedgeError
from poseedge.files import atomic_write
from poseedge.models.checkpoints.contents import read_checkpoint
from poseedge.models.checkpoints.states import COUNTER, state_dict_of
from poseedge.models.network import Identity, Network, Shapes
from poseedge.models.registry import create, names, network_class, oversized


def save_checkpoint(path: Path, network: Network, record: dict[str, Any], half: bool = False) -> None:
    """Write weights, name, configuration and ``record`` (plain values) so that ``weights_only`` loading reads them."""
    state = {key: value.half() if half and value.is_floating_point() else value for key, value in network.state_dict().items()}
    known = {} if network.fps is None else {"fps": network.fps}
    write_torch({"name": network.name, "config": network.config, **known, "state_dict": state, "record": record}, path)


def write_torch(content: dict[str, Any], path: Path) -> None:
    """Write ``content`` as ``torch.save`` does; a full disk is an ``OSError`` that names the file, not PyTorch's bare failure."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_checkpoint(path: str | Path, name: str | None = None, settings: Mapping[str, Any] | None = None) -> Network:
    """Return the network that ``path`` holds, in evaluation mode; its ``identity`` says on what that rests.

    A checkpoint of ours says what it is; in a published state dict, name and configuration are recognised from keys
    and shapes. With ``name``, a checkpoint that does not fit that network is an error; it is needed where two networks
    have the same keys (``tpc_mixste`` and ``mixste``, ``tpc_mhformer`` and ``mhformer``): without it the plain one is
    meant. ``settings`` take the place of what was recognised or stated. Raises ``CheckpointError`` that lists missing and
    left-over keys when the file fits no network exactly.
    """
    path = Path(path)
    content = read_checkpoint(path)
    state = state_dict_of(content, path)
    identity = identify(content, {key: tuple(value.shape) for key, value in state.items()}, path, name, settings or {})
    largest = max(len(state), *(size for value in state.values() for size in (*value.shape, 1)))
    if large := oversized(identity.config, 2 * largest):  # what is nearer is told better by the shapes that do not fit
        raise CheckpointError(
            f"{path}: {large} cannot be, its largest tensor axis is {largest}", "was its configuration changed?"
        )
    try:
        with torch.device("meta"):  # what does not fit is refused before memory is taken for it
            planned = create(identity.name, **identity.config)
    except PoseedgeError as error:
        raise CheckpointError(f"{path}: {error.message}", error.hint) from error
    check_fit(planned, state, path)
    network = create(identity.name, **identity.config)
    load_strictly(network, state, path)
    network.identity, network.fps = identity, rate_of(content)
    return network


def rate_of(content: Mapping[str, Any]) -> float | None:
    """Return the frame rate that a checkpoint says its network was trained at, None where it says none that could be."""
    told = content.get("fps")
    return float(told) if isinstance(told, int | float) and 0 < told < math.inf else None


def identify(content: Mapping[str, Any], shapes: Shapes, path: Path, name: str | None, settings: Mapping[str, Any]) -> Identity:
    """Return what ``content`` is, whose state dict has these ``shapes``."""
    stated, config = content.get("name"), content.get("config")
    if isinstance(stated, str) and stated in names() and name in (None, stated) and isinstance(config, dict):
        return Identity(stated, config | dict(settings))
    found, config = recognise(shapes, path, name)
    others = [other for other in names() if other != found and fits(other, shapes)] if name is None else []
    assumed = [key for key in network_class(found).assumed if key not in settings]
    config = network_class(found).defaults() | config | dict(settings)
    return Identity(found, config, tuple(others), tuple(assumed))


def recognise(shapes: Shapes, path: Path, name: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return name and configuration of the network that has these keys and shapes, ``name`` if it is given."""
    damage = ""
    for candidate in [name] if name is not None else names():  # sorted: a plain network stands before its tpc_ variant
        try:
            config = network_class(candidate).infer_config(shapes)
        except KeyError as error:
            damage = damage or f"looks like {candidate}, but has no {error.args[0]}"
        except (IndexError, ValueError):
            damage = damage or f"looks like {candidate}, but its tensors have other shapes"
        else:
            if config is not None:
                return candidate, config
    if damage:
        raise CheckpointError(f"{path}: {damage}", "is it whole, and of this network's published form?")
    if name is not None:
        found, _ = recognise(shapes, path)
        raise CheckpointError(f"{path}: holds {found}, not {name}", f"use --model {found}, or another checkpoint")
    raise CheckpointError(
        f"{path}: no known network has these keys: {', '.join(list(shapes)[:4])}, ... ({len(shapes)} in all)",
        f"known networks: {', '.join(names())}",
    )


def fits(name: str, shapes: Shapes) -> bool:
    """Say whether the network ``name`` can have these keys and shapes."""
    try:
        return network_class(name).infer_config(shapes) is not None
    except (KeyError, IndexError, ValueError):
        return False


def check_fit(network: Network, state: Mapping[str, Tensor], path: Path) -> None:
    """Raise ``CheckpointError`` that lists what is missing, left over or of another shape; counters may be missing."""
    wanted = network.state_dict()
    problems = [f"missing {key}" for key in wanted if key not in state and not key.endswith(COUNTER)]
    problems += [f"left over {key}" for key in state if key not in wanted]
    problems += [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(wanted[key].shape)}"
        for key in wanted
        if key in state and state[key].shape != wanted[key].shape
    ]
    if problems:
        shown = "; ".join(problems[:4]) + (f"; and {len(problems) - 4} more" if len(problems) > 4 else "")
        raise CheckpointError(
            f"{path}: does not fit {network.name} {network.config}: {shown}", "is it another network or variant?"
        )


def load_strictly(network: Network, state: Mapping[str, Tensor], path: Path) -> None:
    """Load ``state`` with every key and shape accounted for; a batch norm's counter that is missing starts at 0."""
    check_fit(network, state, path)
    own = network.state_dict()
    network.load_state_dict({key: state[key] if key in state else torch.zeros_like(value) for key, value in own.items()})
