"""``.npz``: everything that lifting knows, under the names of ``Lifted``; ``meta`` is a JSON string."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.data.npz import read_arrays
from poseedge.errors import DataError
from poseedge.files import atomic_write
from poseedge.live.types import Lifted
from poseedge.live.writers.common import WriterOptions, Written

_TYPES: dict[str, Any] = {
    "poses_m": np.float32,
    "frames": np.int64,
    "times_s": np.float64,
    "ids": np.int64,
    "seen": np.bool_,
    "filled": np.bool_,
    "keypoints_px": np.float32,
    "scores": np.float32,
}


def write(lifted: Lifted, path: Path, options: WriterOptions) -> Written:
    """Write every array of ``lifted``; what was not seen is NaN."""
    arrays: dict[str, Any] = {name: np.asarray(getattr(lifted, name), dtype=kind) for name, kind in _TYPES.items()}
    arrays["meta"] = np.array(json.dumps(lifted.meta))
    with atomic_write(path) as temporary, temporary.open("wb") as stream:  # given a name, numpy would add .npz to .NPZ
        np.savez_compressed(stream, **arrays)
    return Written((path,))


def read_lifted(path: Path) -> Lifted:
    """Read what ``write`` wrote; raises ``DataError`` naming what is missing or of another type."""
    content = read_arrays(path)
    hint = "it should be the .npz that 'poseedge lift' writes"
    if missing := [name for name in (*_TYPES, "meta") if name not in content]:
        raise DataError(f"{path}: no lifted poses, {', '.join(missing)} missing; found: {', '.join(content) or 'nothing'}", hint)
    for name, kind in _TYPES.items():
        if content[name].dtype != kind:
            raise DataError(f"{path}: {name} should be {np.dtype(kind)}, found {content[name].dtype}", hint)
    try:
        meta = json.loads(str(content["meta"]))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: meta is not JSON ({error})", hint) from error
    return Lifted(**{name: content[name] for name in _TYPES}, meta=meta)
