"""What may be chosen of an engine, known without TensorRT."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BuildOptions:
    """What a person may choose of a build."""

    precision: str
    batch: int = 1  # that a free batch is tuned for
    max_batch: int = 1
    workspace_mib: int = 256
    optimization_level: int | None = None  # 0 to 5; None is TensorRT's own default, 3
    version_compatible: bool = False
