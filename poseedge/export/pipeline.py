"""From a checkpoint to a bundle: its graphs, and the proof that the pose survived."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from poseedge.arrays import Float32Array
from poseedge.backends.backend import Opening
from poseedge.backends.torch import TorchLifter
from poseedge.bundle.manifest import SAMPLES, Description
from poseedge.bundle.writing import write_bundle
from poseedge.data.h36m import load_dataset
from poseedge.data.keypoints import with_confidence
from poseedge.data.mistakes import warnings_of
from poseedge.data.types import PoseDataset
from poseedge.device.joined import run_py
from poseedge.errors import DataError
from poseedge.export.describe import describe
from poseedge.export.graphs import make_graphs
from poseedge.export.job import Export
from poseedge.export.proof import prove
from poseedge.export.streams import COMPARED_FRAMES
from poseedge.int8.windows import load_calibration
from poseedge.progress import Stage, silent


def export_bundle(job: Export, stage: Stage = silent) -> Description:
    """Do ``job`` and return what the manifest of the bundle that it wrote says.

    Raises ``PoseedgeError`` where the input is wrong or a graph does not equal the network; a parity limit that is
    missed is no error: the manifest says so.
    """
    opening = Opening(torch.get_num_threads(), job.recipe.model, job.settings, job.flip)
    reference = TorchLifter.from_checkpoint(job.checkpoint, opening)
    network = reference.network
    test = load_dataset(job.data)
    if not test.test:
        raise DataError(
            f"{job.data}: {test.name} names no test subjects to show parity on", "choose another data set with --data"
        )
    test, spec = test.of(test.test), reference.spec
    told = warnings_of(test, spec.frames, spec.known_fps)
    windows = load_calibration(job.calibration, spec.frames, job.recipe.int8.windows, spec.channels, spec.known_fps, told.extend)

    def fill(folder: Path) -> Description:
        made = make_graphs(job, network, windows, longest_motion(test, network.in_channels), folder, stage)
        proved = prove(job, reference, test, {name: folder / entry.file for name, entry in made.graphs.items()}, stage)
        np.savez(folder / SAMPLES, keypoints=windows[: len(made.poses_m)], poses_m=made.poses_m)  # for the device to check itself
        (folder / "run.py").write_text(run_py(), encoding="utf-8")
        return describe(job, network, made, replace(proved, warnings=[*dict.fromkeys(told), *proved.warnings]))

    return write_bundle(job.output, fill)


def longest_motion(dataset: PoseDataset, channels: int) -> Float32Array:
    """Return the keypoints ``(T, 17, C)`` of the longest sequence, as many frames as streaming forms are compared on."""
    keypoints = max((sequence.keypoints for sequence in dataset.sequences), key=len)[:COMPARED_FRAMES]
    return np.ascontiguousarray(with_confidence(keypoints, channels), np.float32)
