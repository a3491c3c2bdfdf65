"""What a bundle says of itself in its manifest, format 1."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from poseedge.contract import Contract, Count, FileName, Positive, Sha256
from poseedge.evaluation.results import Errors, Jitter, Parity, StatedLimits
from poseedge.lifter import Precision

MANIFEST = "manifest.json"
SAMPLES = "samples.npz"
FORMAT = 1


class Checkpoint(Contract):
    """Where the weights came from: a path, or the name of a file that travels with poseedge."""

    file: str
    bundled: bool
    sha256: Sha256


class GraphEntry(Contract):
    """One ONNX file."""

    file: FileName
    opset: Positive
    nodes: Count
    bytes: Count
    float32_nodes: list[str] = Field(default_factory=list)  # for run.py, which has no onnx to find them with


class StreamEntry(GraphEntry):
    """The streaming form of a graph: see ``poseedge.caches``."""

    frames: Positive  # one after another, on which it was compared
    from_windows_mm: float = Field(ge=0)  # how far its poses lay from those of the graph for windows, at most


class TargetEntry(Contract):
    """What it was exported for."""

    name: str
    opset: Positive


class CalibrationEntry(Contract):
    """The windows that INT8 was calibrated on; the rest stands there if there is an INT8 graph."""

    left_out: ClassVar[frozenset[str]] = frozenset({"layers", "two_step", "ranges"})

    windows: Count
    sha256: Sha256
    layers: list[str] | None = None
    two_step: list[str] | None = None
    ranges: FileName | None = None


class DatasetEntry(Contract):
    """The frames that parity was shown on."""

    name: str
    keypoints: str
    frames: Count
    every: Positive


class OverlapProof(Contract):
    """The poses of a graph averaged over overlapping windows, as ``poseedge lift`` gives them, of the same frames."""

    every: Positive  # frames from one window to the next
    mpjpe_mm: float
    jitter_mm: Jitter | None  # beside the PyTorch network's, averaged alike


class Proof(Errors):
    """What one graph was found to do on them: the errors are those of windows alone."""

    left_out: ClassVar[frozenset[str]] = frozenset({"overlap"})

    against_reference: Parity
    # Where parity is shown on every frame, of networks that give several frames of a window, and not all.
    overlap: OverlapProof | None = None


class Description(Contract):
    """What an export says of a bundle, beside its files' hashes; ``poseedge export --json`` prints it."""

    left_out: ClassVar[frozenset[str]] = frozenset({"streams"})

    created: str
    model: str
    config: dict[str, Any]
    frames: Positive
    channels: Literal[2, 3] = 2  # of a keypoint: u, v, and a confidence if there are three
    output_frames: Annotated[list[Count], Field(min_length=1)]
    flip: bool = False
    parameters: Count
    checkpoint: Checkpoint
    recipe: dict[str, Any]  # as it was then; `poseedge.export.recipe.Recipe` reads today's
    target: TargetEntry
    calibration: CalibrationEntry
    versions: dict[str, str]
    samples: FileName
    limits: dict[Precision, StatedLimits]
    graphs: Annotated[dict[Precision, GraphEntry], Field(min_length=1)]
    streams: dict[Precision, StreamEntry] | None = None  # with --stream
    parity: dict[Precision, Proof]
    simplifier: str
    dataset: DatasetEntry
    reference: Errors  # of the PyTorch network
    warnings: list[str] = Field(default_factory=list)

    @property
    def named_files(self) -> list[str]:
        """The files that it speaks of."""
        ranges = [self.calibration.ranges] if self.calibration.ranges else []
        graphs = [*self.graphs.values(), *(self.streams or {}).values()]
        return [self.samples, *(graph.file for graph in graphs), *ranges]


class Manifest(Description):
    """The manifest as a whole.

    Keys that are not known are tolerated and kept, but for limits: a later poseedge of the same format may say more. Whatever
    the manifest names must be among ``files``, which holds the SHA-256 of every file but the manifest itself.
    """

    format: Literal[1]
    files: Annotated[dict[FileName, Sha256], Field(min_length=1)]

    @model_validator(mode="after")
    def _vouched_for(self) -> Manifest:
        for name in self.named_files:
            if name not in self.files:
                raise ValueError(f"names {name!r}, and has no hash of it in files")
        for precision in self.graphs:
            if precision not in self.parity:
                raise ValueError(f"parity says nothing of {precision}")
        return self
