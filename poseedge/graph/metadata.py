"""What an exported graph knows of itself, kept in the ``metadata_props`` of the ONNX file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from poseedge.lifter import Flip

NORMALIZATION = "u = 2 px / W - 1, v = 2 py / W - H / W"
_PREFIX = "poseedge."


@dataclass(frozen=True)
class GraphMetadata:
    """Origin and meaning of one ONNX file."""

    model: str
    config: dict[str, Any]
    precision: str
    output_frames: tuple[int, ...]  # window frame that each output slot shows
    source_sha256: str  # of the checkpoint
    version: str  # of poseedge
    normalization: str = NORMALIZATION
    flip: Flip = "passes"  # what the flip test of this graph needs
    ort_disabled_optimizers: tuple[str, ...] = field(default=())  # what ONNX Runtime must not do to this graph

    def to_props(self) -> dict[str, str]:
        """Return string pairs for ``metadata_props``."""
        return {_PREFIX + key: json.dumps(value) for key, value in asdict(self).items()}

    @classmethod
    def from_props(cls, props: dict[str, str]) -> GraphMetadata | None:
        """Return the metadata in ``props``, or None if the graph is not one of ours."""
        found = {key.removeprefix(_PREFIX): json.loads(text) for key, text in props.items() if key.startswith(_PREFIX)}
        if not found:
            return None
        for key in ("output_frames", "ort_disabled_optimizers"):
            found[key] = tuple(found[key])
        return cls(**found)
