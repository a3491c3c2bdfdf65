"""A data folder, whichever set it holds."""

from __future__ import annotations

from pathlib import Path

from poseedge.data.h36m import load_dataset
from poseedge.data.mpi_inf_3dhp import is_3dhp, load_3dhp
from poseedge.data.types import PoseDataset


def open_dataset(folder: Path, keypoints: str = "gt") -> PoseDataset:
    """Return MPI-INF-3DHP, or the set in VideoPose3D layout, that ``folder`` holds; raises ``DataError`` for neither."""
    return load_3dhp(folder, keypoints) if is_3dhp(folder) else load_dataset(folder, keypoints)
