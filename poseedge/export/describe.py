"""What the manifest says of an export."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass
from datetime import datetime, timezone

import poseedge
from poseedge.arrays import Float32Array
from poseedge.bundle.manifest import SAMPLES, CalibrationEntry, Checkpoint, Description, GraphEntry, StreamEntry, TargetEntry
from poseedge.export.job import Export
from poseedge.export.proof import Proved
from poseedge.files import sha256_of
from poseedge.lifter import Precision
from poseedge.models.network import LiftingNetwork

RECORDED_PACKAGES = ("torch", "onnx", "onnxruntime", "onnxsim", "onnxconverter-common", "numpy")


@dataclass(frozen=True)
class Made:
    """The graphs of an export, and how they came to be."""

    graphs: dict[Precision, GraphEntry]
    streams: dict[Precision, StreamEntry]
    calibration: CalibrationEntry
    simplifier: str
    poses_m: Float32Array  # of the PyTorch network, of the first windows: ``(sample_windows, T_out, 17, 3)``


def describe(job: Export, network: LiftingNetwork, made: Made, proved: Proved) -> Description:
    """Return all that the manifest says beside its files' hashes."""
    return Description(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model=network.name,
        config=network.config,
        frames=network.frames,
        channels=3 if network.in_channels == 3 else 2,
        output_frames=list(network.output_frames),
        flip=job.flip,
        parameters=sum(p.numel() for p in network.parameters()),
        checkpoint=Checkpoint(
            file=job.checkpoint.name if job.bundled else str(job.checkpoint.resolve()),
            bundled=job.bundled,
            sha256=sha256_of(job.checkpoint),
        ),
        recipe=job.recipe.model_dump(mode="json"),
        target=TargetEntry(name=job.target_name, opset=job.target.opset),
        calibration=made.calibration,
        versions=installed_versions(),
        samples=SAMPLES,
        limits=job.recipe.limits,
        graphs=made.graphs,
        streams=made.streams or None,
        parity=proved.parity,
        simplifier=made.simplifier,
        dataset=proved.dataset,
        reference=proved.reference,
        warnings=proved.warnings,
    )


def installed_versions() -> dict[str, str]:
    """Return the versions of what an export depends on."""
    own = {"poseedge": poseedge.__version__, "python": platform.python_version()}
    return own | {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES}
