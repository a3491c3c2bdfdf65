"""Checkpoints: ours, and the bare state dicts that the papers' repositories publish."""

from __future__ import annotations

import pickle
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from poseedge.errors import CheckpointError
from poseedge.files import atomic_write
from poseedge.models.network import Network, Shapes
from poseedge.models.registry import create, names, network_class

# Under which keys published files wrap their state dict.
_WRAPPERS = ("state_dict", "model_pos", "model_state_dict", "model")


class _Unread:
    """Stands for what training saved beside the weights; nothing of it is built."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


# NumPy's random states and scalars, under the names that its versions write: MixSTE's and MotionBERT's files hold them.
_UNREAD: list[Any] = [
    (_Unread, f"numpy{name}")
    for name in (
        *(".ndarray", ".dtype", ".random.__RandomState_ctor", ".random._mt19937.MT19937"),
        *(f".random._pickle.__{kind}_ctor" for kind in ("randomstate", "bit_generator")),
        *(f".{core}.multiarray.{kind}" for core in ("core", "_core") for kind in ("_reconstruct", "scalar")),
    )
]


def save_checkpoint(path: Path, network: Network, record: dict[str, Any], half: bool = False) -> None:
    """Write weights, name, configuration and ``record`` (plain values) so that ``weights_only`` loading reads them."""
    state = {key: value.half() if half and value.is_floating_point() else value for key, value in network.state_dict().items()}
    with atomic_write(path) as temporary:
        torch.save({"name": network.name, "config": network.config, "state_dict": state, "record": record}, temporary)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint file, never running code from it."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint", "give a .pth file with --checkpoint")
    check_sums(path)
    try:
        with torch.serialization.safe_globals(_UNREAD):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))  # the rest of PyTorch's message tells how to run it all the same
        raise CheckpointError(
            f"{path}: refused, it holds more than tensors and plain values" + (f": {named[1]}" if named else ""),
            "save the state dict alone: torch.save(model.state_dict(), path)",
        ) from error
    except Exception as error:  # a damaged archive or pickle may raise anything
        reason = str(error).split("\n")[0].split(". ")[0]
        raise CheckpointError(f"{path}: not a readable checkpoint ({reason})", "it may be truncated; get it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a state dict, found {type(content).__name__}")
    return content


def check_sums(path: Path) -> None:
    """Compare every record of a zipped checkpoint with the checksum written beside it, which PyTorch's own reader does not.

    Raises ``CheckpointError`` that names the first damaged record. Files of PyTorch's older format, and those written with
    ``torch.serialization.set_crc32_options(False)``, have no checksums.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            summed = any(record.CRC for record in archive.infolist())
            damaged = archive.testzip() if summed else None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({error})", "it may be truncated; get it again") from error
    if damaged is not None:
        raise CheckpointError(f"{path}: damaged, {damaged} does not match its checksum", "get the file again")


def state_dict_of(content: dict[str, Any], path: Path) -> dict[str, torch.Tensor]:
    """Return the state dict inside a checkpoint, unwrapped, without ``module.`` prefixes."""
    for key in _WRAPPERS:
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    named = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}
    state = {key.removeprefix("module."): value for key, value in named.items()}
    if not state:
        raise CheckpointError(f"{path}: holds no tensors", f"its keys are: {', '.join(map(str, list(content)[:5]))}")
    return {key: value.float() if value.dtype == torch.float16 else value for key, value in state.items()}


def load_checkpoint(path: str | Path, name: str | None = None) -> Network:
    """Return the network that ``path`` holds, in evaluation mode.

    A checkpoint of ours says what it is; in a published state dict, name and configuration are recognised from keys
    and shapes. With ``name``, a checkpoint that does not fit that network is an error; it is needed where two networks
    have the same keys (``tpc_mixste`` and ``mixste``, ``tpc_mhformer`` and ``mhformer``): without it the plain one is
    meant. Raises ``CheckpointError`` that lists missing and left-over keys when the file fits no network exactly.
    """
    path = Path(path)
    content = read_checkpoint(path)
    state = state_dict_of(content, path)
    if content.get("name") in names() and name in (None, content["name"]) and isinstance(content.get("config"), dict):
        found, config = content["name"], content["config"]
    else:
        found, config = recognise({key: tuple(value.shape) for key, value in state.items()}, path, name)
    network = create(found, **config)
    load_strictly(network, state, path)
    return network


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


def load_strictly(network: Network, state: dict[str, torch.Tensor], path: Path) -> None:
    """Load ``state`` with every key and shape accounted for."""
    wanted = network.state_dict()
    problems = [f"missing {key}" for key in wanted if key not in state]
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
    network.load_state_dict(state)
