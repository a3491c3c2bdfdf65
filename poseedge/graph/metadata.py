"""What an exported graph knows of itself, kept in the ``metadata_props`` of the ONNX file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from poseedge.errors import ArtefactError
from poseedge.files import check_plain
from poseedge.lifter import NORMALIZATION, Flip
from poseedge.records import record

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
    streams: int = 0  # of a streaming form, which takes one frame and caches: the frames of the windows whose poses it gives
    fps: float | None = None  # frames per second that the network was trained at, where its checkpoint tells

    def to_props(self) -> dict[str, str]:
        """Return string pairs for ``metadata_props``."""
        said = asdict(self) | {"streams": self.streams or None}  # a graph that takes windows says nothing of it
        return {_PREFIX + key: json.dumps(value) for key, value in said.items() if value is not None}

    @classmethod
    def from_props(cls, props: dict[str, str], path: Path | str = "the graph") -> GraphMetadata | None:
        """Return the metadata in ``props``, or None if the graph at ``path`` is not one of ours.

        Raises ``ArtefactError`` that names the first entry which is not as ``to_props`` writes it. Entries that a later poseedge
        may add are left aside.
        """
        ours = {key.removeprefix(_PREFIX): text for key, text in props.items() if key.startswith(_PREFIX)}
        if not ours:
            return None
        try:
            content = {field.name: _read(field.name, ours[field.name]) for field in fields(cls) if field.name in ours}
            return record(cls, content, _PREFIX)
        except ValueError as error:
            raise ArtefactError(f"{path}: damaged metadata: {error}", "export it again") from error


def _read(name: str, text: str) -> Any:
    try:
        content = json.loads(text)
        check_plain(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_PREFIX}{name} is no JSON ({error})") from error
    return content
